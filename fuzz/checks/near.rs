//! Inputs near a given one: included by tests beside `replay.rs`.

/// Calls `check` with the input cut at each place up to `most`, and with each of these bytes there in place of what is, and
/// put in before it.
pub(crate) fn near(input: &[u8], most: usize, bytes: &[u8], check: impl Fn(&[u8])) {
    for at in 0..input.len().min(most) {
        check(&input[..at]);
        for byte in bytes {
            let mut near = input.to_vec();
            near[at] = *byte;
            check(&near);
            near[at] = input[at];
            near.insert(at, *byte);
            check(&near);
        }
    }
}
