//! `/etc/resolv.conf` in the forms that are about.

use dhow_network::resolver::resolv_conf::{Place, ResolvConf, source};
use proptest::prelude::*;

#[test]
fn what_a_file_says() {
    let text = "; written by a tool\n# nameserver 9.9.9.9\ndomain a.example\nnameserver 10.0.0.1 # the first\n\
        \tnameserver\t2001:db8::1\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver\nnameserver 127.0.0.53\n\
        search b.example c.example\noptions ndots:3 rotate\noptions ndots:99 timeout:1\nsortlist 1.2.3.4\n";
    let conf = ResolvConf::parse(text);
    let servers: Vec<_> = conf.servers.iter().map(|server| server.address.to_string()).collect();
    assert_eq!(servers, ["10.0.0.1", "2001:db8::1", "fe80::1", "127.0.0.53"]);
    assert_eq!(conf.search, ["b.example", "c.example"]);
    assert_eq!(conf.ndots(), Some(15));
    let upstreams: Vec<_> = conf.upstreams().iter().map(|u| (u.address.to_string(), u.place)).collect();
    assert_eq!(
        upstreams,
        [
            ("10.0.0.1:53".to_owned(), Place::Container),
            ("[2001:db8::1]:53".to_owned(), Place::Container),
            ("127.0.0.53:53".to_owned(), Place::Host),
        ]
    );
    let inside = "nameserver 127.0.0.11\nsearch b.example c.example\noptions ndots:3 rotate ndots:99 timeout:1\n";
    assert_eq!(conf.inside().to_string(), inside);
    assert_eq!(
        ResolvConf::parse("nameserver 1.1.1.1\n").inside().to_string(),
        "nameserver 127.0.0.11\noptions ndots:0\n"
    );
    assert_eq!(ResolvConf::parse("search .\n").search, [""; 0]);
}

#[test]
fn the_stub_of_systemd_is_asked_past() {
    let (stub, real) =
        ("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n", "nameserver 10.0.0.1\nsearch lan\n");
    assert_eq!(source(stub, Some(real)), ResolvConf::parse(real));
    assert_eq!(source(stub, None), ResolvConf::parse(stub), "then the stub is asked, from the host");
    assert_eq!(source(stub, Some("")), ResolvConf::parse(stub));
    let both = "nameserver 127.0.0.53\nnameserver 10.0.0.2\n";
    assert_eq!(source(both, Some(real)), ResolvConf::parse(both));
    assert_eq!(source("", Some(real)), ResolvConf::default(), "no server is what the host says");
}

proptest! {
    #[test]
    fn what_is_written_is_read(text in "(nameserver|search|options|domain|#|;|[a-z.:%0-9]{1,20}|[ \t\n]){0,60}") {
        let conf = ResolvConf::parse(&text);
        prop_assert_eq!(ResolvConf::parse(&conf.to_string()), conf.clone());
        prop_assert!(conf.upstreams().len() <= 3);
    }
}
