//! A host with networks and containers, and another host beside it: namespaces, wires, and programs that answer.

use dhow_network::firewall::{Firewall, Network, Plan};
use dhow_network::link::{self, BridgeOptions, Kind, New};
use dhow_network::netlink::Socket;
use dhow_network::netns::Netns;
use dhow_network::ports::{Port, Protocol};
use dhow_network::route::{self, Route};
use dhow_network::sysctl::{self, Setting};
use dhow_network::{Family, Subnet, address};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const TABLE: &str = "dhow-0123abcd";
/// How long nothing has to come until it is taken for dropped.
const SILENCE: Duration = Duration::from_millis(400);
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

pub(crate) fn blue() -> Network {
    Network::new("dhow0", [subnet("172.18.0.0/16"), subnet("fd00:b::/64")])
}

pub(crate) fn red() -> Network {
    Network::new("dh-red", [subnet("172.19.0.0/16"), subnet("fd00:e::/64")])
}

pub(crate) fn locked() -> Network {
    Network { internal: true, ..Network::new("dh-locked", [subnet("10.9.0.0/20")]) }
}

pub(crate) struct World {
    pub(crate) host: Netns,
    pub(crate) outside: Netns,
}

/// Runs a program in a namespace and gives what it prints.
pub(crate) fn run(netns: &Netns, program: &str, arguments: &[&str]) -> String {
    let output = netns.with(|| Command::new(program).args(arguments).output()).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

impl World {
    /// `host` is 192.0.2.1 and 2001:db8::1 on `eth0`; `outside` is .2 and ::2, and sends all that it does not know to it.
    pub(crate) fn new() -> World {
        let (host, outside) = (Netns::new().unwrap(), Netns::new().unwrap());
        let (mut here, mut there) = (host.route().unwrap(), outside.route().unwrap());
        link::set_up(&mut here, "lo").unwrap();
        link::set_up(&mut there, "lo").unwrap();
        let veth = Kind::Veth { peer: "eth0".into(), namespace: Some(&outside), mac: None };
        link::create(&mut here, &New::named("eth0", veth)).unwrap();
        for netns in [&host, &outside] {
            sysctl::ensure(netns, &[Setting::no_duplicate_detection("eth0")]).unwrap();
        }
        for (socket, last) in [(&mut here, 1), (&mut there, 2)] {
            let index = link::index(socket, "eth0").unwrap();
            address::add(socket, index, subnet(&format!("192.0.2.{last}/24"))).unwrap();
            address::add(socket, index, subnet(&format!("2001:db8::{last}/64"))).unwrap();
            link::set_up(socket, "eth0").unwrap();
            if last == 2 {
                route::add(socket, &Route::default_via("192.0.2.1".parse().unwrap(), index)).unwrap();
                route::add(socket, &Route::default_via("2001:db8::1".parse().unwrap(), index)).unwrap();
            }
        }
        wait_for(&mut here, "eth0");
        wait_for(&mut there, "eth0");
        let settings = [Setting::forwarding(Family::V4), Setting::forwarding(Family::V6)];
        sysctl::ensure(&host, &settings).unwrap();
        World { host, outside }
    }

    /// A network's bridge with its gateways, the first addresses of its blocks.
    pub(crate) fn bridge(&self, network: &Network) {
        let mut host = self.host.route().unwrap();
        let kind = Kind::Bridge(BridgeOptions::default());
        link::create(&mut host, &New { up: true, ..New::named(&network.bridge, kind) }).unwrap();
        let index = link::index(&mut host, &network.bridge).unwrap();
        for block in &network.subnets {
            address::add(&mut host, index, at(*block, 1)).unwrap();
        }
        let name = &network.bridge;
        let settings = [Setting::route_localnet(name), Setting::no_duplicate_detection(name)];
        sysctl::ensure(&self.host, &settings).unwrap();
    }

    /// A container with the `number`th address of each block.
    pub(crate) fn container(&self, network: &Network, number: u8) -> Netns {
        let container = Netns::new().unwrap();
        let mut host = self.host.route().unwrap();
        let master = link::index(&mut host, &network.bridge).unwrap();
        let veth = Kind::Veth { peer: "eth0".into(), namespace: Some(&container), mac: None };
        let name = format!("dv{}{number}", network.bridge);
        link::create(&mut host, &New { master: Some(master), up: true, ..New::named(&name, veth) }).unwrap();
        if sysctl::bridges_call_the_firewall(&self.host).unwrap() {
            link::set_hairpin(&mut host, &name, true).unwrap();
        }
        let mut inside = container.route().unwrap();
        link::set_up(&mut inside, "lo").unwrap();
        let index = link::index(&mut inside, "eth0").unwrap();
        for block in &network.subnets {
            address::add(&mut inside, index, at(*block, number)).unwrap();
        }
        link::set_up(&mut inside, "eth0").unwrap();
        wait_for(&mut inside, "eth0");
        wait_for(&mut host, &name);
        wait_for(&mut host, &network.bridge);
        for block in &network.subnets {
            route::add(&mut inside, &Route::default_via(at(*block, 1).address(), index)).unwrap();
        }
        container
    }

    pub(crate) fn firewall(&self) -> Firewall {
        Firewall::on(self.host.netfilter().unwrap(), TABLE)
    }

    pub(crate) fn nft(&self) -> String {
        run(&self.host, "nft", &["list", "ruleset"])
    }
}

/// Waits until a link carries packets: the kernel says so a moment after both its ends are up, later when it is busy, and
/// drops what is sent before.
fn wait_for(socket: &mut Socket, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !link::get(socket, name).unwrap().unwrap().running {
        assert!(Instant::now() < deadline, "{name} never came up");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The `number`th address of a block.
pub(crate) fn at(block: Subnet, number: u8) -> Subnet {
    let text = match block.family() {
        Family::V4 => block.address().to_string().rsplit_once('.').map(|(head, _)| format!("{head}.{number}")),
        Family::V6 => Some(format!("{}{number}", block.address())),
    };
    Subnet::new(text.unwrap().parse().unwrap(), block.prefix()).unwrap()
}

pub(crate) fn port(protocol: Protocol, from: &str, to: &str) -> Port {
    let from: SocketAddr = from.parse().unwrap();
    Port::new(protocol, from.ip(), from.port(), to.parse().unwrap()).unwrap()
}

pub(crate) fn plan(networks: &[Network], ports: &[Port]) -> Plan {
    Plan { table: TABLE.to_owned(), networks: networks.to_vec(), ports: ports.to_vec(), outside: Default::default() }
}

/// A server of TCP in a namespace that tells each client who it is, and its own name. It ends with the tests.
pub(crate) fn serve(netns: &Netns, address: &str, name: &'static str) {
    let listener = netns.with(|| TcpListener::bind(address)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip();
            let _ = write!(stream, "{name} {peer}");
        }
    });
}

/// As [`serve`], over UDP.
pub(crate) fn serve_udp(netns: &Netns, address: &str, name: &'static str) {
    let socket = netns.with(|| UdpSocket::bind(address)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer);
        }
    });
}

/// What a server says to a client in this namespace.
pub(crate) fn ask(netns: &Netns, address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    answer(netns.with(connect).map_err(io::Error::other)?)
}

fn answer(mut stream: TcpStream) -> io::Result<String> {
    let mut text = String::new();
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Nothing of what a client in this namespace sends comes through.
pub(crate) fn silent(netns: &Netns, address: &str) -> bool {
    let address: SocketAddr = address.parse().unwrap();
    netns.with(|| TcpStream::connect_timeout(&address, SILENCE)).is_err()
}

/// A client of UDP that keeps its port.
pub(crate) fn udp(netns: &Netns) -> UdpSocket {
    let socket = netns.with(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn ask_udp(socket: &UdpSocket, address: &str) -> io::Result<String> {
    socket.send_to(b"?", address)?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// That the tests leave the namespace alone that they were started in.
pub(crate) fn is_elsewhere(netns: &Netns) -> bool {
    let _ = netns.as_fd();
    !netns.is(&Netns::own().unwrap()).unwrap()
}
