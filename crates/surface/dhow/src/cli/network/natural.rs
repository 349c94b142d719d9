//! The order in which docker lists names: numbers in them by their value, so that `net2` is before `net10`.

use std::cmp::Ordering;

/// Compares two names.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (x, y) = match (a.first(), b.first()) {
            (None, other) => return if other.is_none() { Ordering::Equal } else { Ordering::Less },
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        if !(x.is_ascii_digit() && y.is_ascii_digit()) {
            if x != y {
                return x.cmp(y);
            }
            (a, b) = (&a[1..], &b[1..]);
            continue;
        }
        let (m, n) = (digits(a), digits(b));
        let (p, q) = (significant(&a[..m]), significant(&b[..n]));
        // Longer is larger; and of the same value, the one with fewer zeros in front is first.
        match p.len().cmp(&q.len()).then_with(|| p.cmp(q)).then_with(|| m.cmp(&n)) {
            Ordering::Equal => (a, b) = (&a[m..], &b[n..]),
            other => return other,
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|b| **b == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let mut names = ["net10", "net2", "bridge", "net", "net02", "a1b2", "a1b10", "none", "", "10", "9"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["", "9", "10", "a1b2", "a1b10", "bridge", "net", "net2", "net02", "net10", "none"]);
    }
}
