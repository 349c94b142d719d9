//! A client of our own: it sends what it is told to, and checks what comes.

use dhow_network::resolver::message::{CLASS_IN, Data, Edns, Message, Name, Question, Record, Section, Writer};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn query(id: u16, name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, id, 0x0100, 4096);
    let name = Name::from_text(name).unwrap();
    assert!(writer.question(&Question { name, kind, class: CLASS_IN }));
    if let Some(size) = edns {
        assert!(writer.record(Section::Additional, &Edns::record(size, 0, false)));
    }
    bytes
}

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) id: u16,
    pub(crate) code: u16,
    pub(crate) truncated: bool,
    pub(crate) name: Vec<u8>,
    pub(crate) size: usize,
    /// Records of all sections but EDNS, as text.
    pub(crate) records: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Answer {
        let message = Message::read(bytes).unwrap();
        assert!(message.is_answer());
        let all: Vec<(Section, Record<'_>)> = message.records().collect::<Result<_, _>>().unwrap();
        let addresses = all.iter().filter_map(|(section, record)| match record.data {
            Data::A(address) if *section == Section::Answer => Some(address.into()),
            Data::Aaaa(address) if *section == Section::Answer => Some(address.into()),
            _ => None,
        });
        let edns = |record: &Record<'_>| record.data.kind() == 41;
        Answer {
            id: message.id,
            code: message.code(),
            truncated: message.flags & 0x0200 != 0,
            name: message.question.map(|q| q.name.as_wire().to_vec()).unwrap_or_default(),
            size: bytes.len(),
            addresses: addresses.collect(),
            records: all
                .iter()
                .filter(|(_, r)| !edns(r))
                .map(|(s, r)| format!("{s:?} {} {:?}", r.name, r.data))
                .collect(),
        }
    }
}

pub(crate) fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Asks over UDP.
pub(crate) fn ask(server: SocketAddr, query: &[u8]) -> Answer {
    let socket = udp();
    socket.send_to(query, server).unwrap();
    receive(&socket, server)
}

pub(crate) fn receive(socket: &UdpSocket, server: SocketAddr) -> Answer {
    let mut bytes = [0; 65_536];
    let (count, from) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!(from, server);
    Answer::read(&bytes[..count])
}

pub(crate) fn address(server: SocketAddr, name: &str) -> Vec<IpAddr> {
    ask(server, &query(1, name, 1, None)).addresses
}

/// Asks over one connection, all at once.
pub(crate) fn ask_stream(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Answer> {
    let mut stream = connect(server);
    let mut all = Vec::new();
    for query in queries {
        all.extend((query.len() as u16).to_be_bytes());
        all.extend(query);
    }
    stream.write_all(&all).unwrap();
    queries.iter().map(|_| read_stream(&mut stream)).collect()
}

pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn read_stream(stream: &mut TcpStream) -> Answer {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    Answer::read(&bytes)
}
