//! Writes archives byte by byte, wrong ones too.

/// One header and its content, in the making.
#[derive(Clone)]
pub(crate) struct Member {
    block: [u8; 512],
    body: Vec<u8>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    extra: Vec<[u8; 512]>,
}

impl Member {
    pub(crate) fn new(kind: u8, path: &str) -> Member {
        let mut block = [0u8; 512];
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let mut member =
            Member { block, body: vec![], records: vec![], long_name: None, long_link: None, extra: vec![] };
        if path.len() > 100 {
            member.long_name = Some(path.as_bytes().to_vec());
        }
        let short = &path.as_bytes()[..path.len().min(100)];
        member.block[..short.len()].copy_from_slice(short);
        member.mode(if kind == b'5' { 0o755 } else { 0o644 }).owner(0, 0).mtime(1_000_000)
    }

    fn octal(mut self, at: usize, len: usize, n: u64) -> Member {
        self.block[at..at + len].copy_from_slice(format!("{n:0width$o}\0", width = len - 1).as_bytes());
        self
    }

    pub(crate) fn mode(self, mode: u32) -> Member {
        self.octal(100, 8, mode.into())
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Member {
        self.octal(108, 8, uid.into()).octal(116, 8, gid.into())
    }

    pub(crate) fn mtime(self, t: u64) -> Member {
        self.octal(136, 12, t)
    }

    /// What the header claims, whatever the body is.
    pub(crate) fn size(self, size: u64) -> Member {
        self.octal(124, 12, size)
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Member {
        self.body = body.to_vec();
        self.size(body.len() as u64)
    }

    /// A body that the header's size does not speak of.
    pub(crate) fn hidden_body(mut self, body: &[u8]) -> Member {
        self.body = body.to_vec();
        self
    }

    pub(crate) fn link(mut self, target: &str) -> Member {
        if target.len() > 100 {
            self.long_link = Some(target.as_bytes().to_vec());
        }
        let short = &target.as_bytes()[..target.len().min(100)];
        self.block[157..157 + short.len()].copy_from_slice(short);
        self
    }

    pub(crate) fn device(self, major: u64, minor: u64) -> Member {
        self.octal(329, 8, major).octal(337, 8, minor)
    }

    pub(crate) fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Member {
        self.records.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn long_name(mut self, name: &str) -> Member {
        self.long_name = Some(name.as_bytes().to_vec());
        self
    }

    pub(crate) fn raw(mut self, at: usize, bytes: &[u8]) -> Member {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A block right behind the header, which no size counts.
    pub(crate) fn extra_block(mut self, block: [u8; 512]) -> Member {
        self.extra.push(block);
        self
    }

    fn sealed(mut block: [u8; 512]) -> [u8; 512] {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, name) in [(b'L', &self.long_name), (b'K', &self.long_link)] {
            if let Some(name) = name {
                let mut with_nul = name.clone();
                with_nul.push(0);
                out.extend(Member::new(kind, "././@LongLink").body(&with_nul).bytes());
            }
        }
        if !self.records.is_empty() {
            out.extend(Member::new(b'x', "PaxHeaders/x").body(&records(&self.records)).bytes());
        }
        out.extend(Member::sealed(self.block));
        self.extra.iter().for_each(|block| out.extend(block));
        out.extend(&self.body);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

/// PAX records, whose length counts itself.
pub(crate) fn records(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..20).map(|digits| rest + digits).find(|n| rest + n.to_string().len() == *n).unwrap();
        out.extend(format!("{length} ").bytes());
        out.extend(key);
        out.push(b'=');
        out.extend(value);
        out.push(b'\n');
    }
    out
}

pub(crate) fn file(path: &str, body: &str) -> Member {
    Member::new(b'0', path).body(body.as_bytes())
}

pub(crate) fn dir(path: &str) -> Member {
    Member::new(b'5', path)
}

pub(crate) fn symlink(path: &str, target: &str) -> Member {
    Member::new(b'2', path).mode(0o777).link(target)
}

pub(crate) fn hard(path: &str, target: &str) -> Member {
    Member::new(b'1', path).link(target)
}

/// The members one behind the other, and the two blocks at the end.
pub(crate) fn archive(members: &[Member]) -> Vec<u8> {
    let mut out: Vec<u8> = members.iter().flat_map(Member::bytes).collect();
    out.extend([0u8; 1024]);
    out
}
