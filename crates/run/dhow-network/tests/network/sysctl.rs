//! Parameters of the kernel.

use crate::world::run;
use dhow_network::netns::Netns;
use dhow_network::sysctl::{self, Setting};

#[test]
fn parameters_are_written_when_needed_and_told() {
    let netns = Netns::new().unwrap();
    let forwarding = [Setting::forwarding(dhow_network::Family::V4)];
    // A new namespace may come with the setting of the first one.
    run(&netns, "sh", &["-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"]);
    let changes = sysctl::ensure(&netns, &forwarding).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "net/ipv4/ip_forward is now 1 (was 0)");
    assert_eq!(sysctl::ensure(&netns, &forwarding).unwrap(), []);
    assert_eq!(run(&netns, "cat", &["/proc/sys/net/ipv4/ip_forward"]).trim(), "1");
    let error = sysctl::ensure(&netns, &[Setting::route_localnet("nobody")]).unwrap_err();
    assert!(error.to_string().contains("/proc/sys/net/ipv4/conf/nobody/route_localnet"), "{error}");
    for hostile in ["..", "../../kernel", "a/../../.."] {
        assert!(sysctl::ensure(&netns, &[Setting::route_localnet(hostile)]).is_err());
    }
    let changes = sysctl::ensure(&netns, &[Setting::disable_ipv6("lo", true)]).unwrap();
    assert_eq!(changes.len(), 1);
}
