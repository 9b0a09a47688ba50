//! Sockets that going holds for a service: an address, and after it what there is to
//! say of the socket, `name=value` each. Readers and writers as in `values.rs`.
//! Names of hosts are never looked up: that would wait for the network.

// No network is in here, only the form of addresses.
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::grammar::{quote_into, show, split};
use super::nearest::nearest;
use super::spec::{Spec, Start};
use super::values::{Choices, hint, read_account, wrong};
use super::words::{Must, read_count, read_umask, read_yes};

/// More than these nobody tells apart, and they have to fit below the descriptors
/// that going itself needs.
pub const LISTENS_MAX: usize = 32;

/// sun_path of unix(7), less its NUL.
const PATH_MAX: usize = 107;

/// The kernel's own limit, net.core.somaxconn, may be less.
const BACKLOG_MAX: u32 = 65_535;

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub address: Address,
    /// What the service knows it by.
    pub name: Option<String>,
    /// How many connections may wait; `None` for as many as the kernel allows.
    pub backlog: Option<u32>,
    /// The permissions of its file.
    pub mode: u32,
    /// Whose file it is; `None` for the user of the service.
    pub owner: Option<String>,
    /// The group of the file; `None` for the group of the service.
    pub group: Option<String>,
    /// Whether IPv6 does not include IPv4.
    pub v6only: bool,
    /// Whether others may listen there, too.
    pub reuse_port: bool,
    /// Whether the address need not be there.
    pub freebind: bool,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// tcp(7)
    Tcp,
    /// udp(7)
    Udp,
    /// unix(7), streams
    Unix,
    /// unix(7), datagrams
    UnixDgram,
    /// unix(7), sequenced packets
    UnixSeqpacket,
}

/// Where a socket is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// This port of each address there is.
    Any(u16),
    /// This port of one address.
    Ip(SocketAddr),
    /// A file.
    Path(String),
    /// An abstract name (unix(7)).
    Abstract(String),
}

/// How a service gets its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenAs {
    /// As sd_listen_fds(3) has them: from descriptor 3 on.
    Fds,
    /// As FastCGI has it: instead of its standard input.
    Stdin,
}

/// `start=`
pub const STARTS: &Choices<Start> =
    &[("auto", Start::Auto), ("manual", Start::Manual), ("on-demand", Start::OnDemand)];
/// `listen-as=`
pub const LISTEN_AS: &Choices<ListenAs> = &[("fds", ListenAs::Fds), ("stdin", ListenAs::Stdin)];

const PROTOCOLS: &Choices<Protocol> = &[
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("unix", Protocol::Unix),
    ("unix-dgram", Protocol::UnixDgram),
    ("unix-seqpacket", Protocol::UnixSeqpacket),
];

const OPTIONS: [&str; 8] =
    ["name", "backlog", "mode", "owner", "group", "v6only", "reuse-port", "freebind"];

/// Read and write for whom it is of, nothing for anybody else.
const MODE: u32 = 0o660;

impl Listen {
    /// Whether who connects to this address comes here.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.protocol == Protocol::Tcp
            && match self.address {
                Address::Any(port) => port == address.port(),
                Address::Ip(own) => own == address,
                Address::Path(_) | Address::Abstract(_) => false,
            }
    }
}

impl Protocol {
    /// Whether there are connections.
    pub fn has_connections(self) -> bool {
        match self {
            Protocol::Tcp | Protocol::Unix | Protocol::UnixSeqpacket => true,
            Protocol::Udp | Protocol::UnixDgram => false,
        }
    }

    fn is_internet(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::Udp)
    }
}

/// One socket more.
pub fn add_listen(listens: &mut Vec<Listen>, value: &str) -> Result<(), String> {
    if listens.len() == LISTENS_MAX {
        return Err(format!("is there more than {LISTENS_MAX} times"));
    }
    let listen = read_listen(value)?;
    let is_it = |it: &Listen| it.protocol == listen.protocol && it.address == listen.address;
    if listens.iter().any(is_it) {
        return Err(format!("has {} once more", show_address(&listen)));
    }
    listens.push(listen);
    Ok(())
}

fn read_listen(value: &str) -> Result<Listen, String> {
    let words = split(value)?;
    let Some((first, options)) = words.split_first() else {
        return Err(wrong(value, "an address"));
    };
    let (protocol, address) = read_address(first)?;
    let mut listen = Listen {
        protocol,
        address,
        name: None,
        backlog: None,
        mode: MODE,
        owner: None,
        group: None,
        v6only: false,
        reuse_port: false,
        freebind: false,
    };
    for option in options {
        set_option(&mut listen, option)?;
    }
    Ok(listen)
}

fn read_address(word: &str) -> Result<(Protocol, Address), String> {
    let (name, rest) = word.split_once(':').unwrap_or((word, ""));
    let found = PROTOCOLS.iter().find(|(known, _)| *known == name);
    let Some((name, protocol)) = found else {
        const MUST: &str = "tcp:, udp:, unix:, unix-dgram: or unix-seqpacket: and an address";
        let is_path = word.starts_with(['/', '@']);
        let near = nearest(name, PROTOCOLS.iter().map(|(name, _)| *name));
        let meant = match near.filter(|_| !rest.is_empty()) {
            Some(near) => Some(format!("{near}:{rest}")),
            None if is_path => Some(format!("unix:{word}")),
            None => read_internet("tcp", word).is_ok().then(|| format!("tcp:{word}")),
        };
        return Err(hint(wrong(word, MUST), meant.as_deref()));
    };
    let address = if protocol.is_internet() {
        read_internet(name, rest).map_err(|(must, meant)| hint(wrong(word, must), meant.as_deref()))
    } else {
        read_unix(rest).map_err(|must| wrong(word, must))
    };
    Ok((*protocol, address?))
}

/// Reads what is behind `tcp:`; an error is what it must be, and what was meant.
pub(super) fn read_internet(name: &str, rest: &str) -> Result<Address, (Must, Option<String>)> {
    const PORT: Must = "HOST:PORT, with a port from 1 to 65535";
    const HOST: Must = "HOST:PORT, with an address, localhost or * for HOST: names are not \
                        looked up";
    let (host, port) = rest.rsplit_once(':').unwrap_or(("*", rest));
    if rest.parse::<Ipv6Addr>().is_ok() && !host.starts_with('[') {
        let meant = format!("{name}:[{host}]:{port}");
        return Err(("HOST:PORT, with brackets around an IPv6 address", Some(meant)));
    }
    let number = read_count(port).and_then(|port| u16::try_from(port).ok());
    let Some(number) = number.filter(|&port| port != 0) else { return Err((PORT, None)) };
    match host {
        "*" => Ok(Address::Any(number)),
        "localhost" => Ok(Address::Ip((Ipv4Addr::LOCALHOST, number).into())),
        _ => rest.parse().map(Address::Ip).map_err(|_| (HOST, None)),
    }
}

fn read_unix(rest: &str) -> Result<Address, Must> {
    let name = rest.strip_prefix('@').unwrap_or(rest);
    if name.is_empty() || name.len() > PATH_MAX {
        return Err("a path or @name of 1 to 107 bytes");
    }
    match rest.as_bytes().first() {
        Some(b'@') => Ok(Address::Abstract(name.into())),
        Some(b'/') if !rest.ends_with('/') => Ok(Address::Path(rest.into())),
        _ => Err("an absolute path, or @ and an abstract name"),
    }
}

fn set_option(listen: &mut Listen, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    if !OPTIONS.contains(&name) {
        let message = format!("has {}, which is no option of a socket", show(option));
        return Err(hint(message, nearest(name, OPTIONS.into_iter())));
    }
    let bad = |must: Must| format!("has {name}={}, but must have {must}", show(value));
    if value.is_empty() {
        let meant = ["freebind", "reuse-port", "v6only"].contains(&name);
        let meant = meant.then(|| format!("{name}=yes"));
        return Err(hint(format!("has {name} without a value"), meant.as_deref()));
    }
    let (protocol, address) = (listen.protocol, &listen.address);
    let whose = match name {
        "backlog" if !protocol.has_connections() => "of sockets with connections",
        "mode" | "owner" | "group" if !matches!(address, Address::Path(_)) => "of unix:/PATH",
        "v6only" if !matches!(address, Address::Ip(SocketAddr::V6(_)) | Address::Any(_)) => {
            "of IPv6 addresses and of *"
        }
        "reuse-port" | "freebind" if !protocol.is_internet() => "of tcp: and udp:",
        _ => "",
    };
    if !whose.is_empty() {
        return Err(format!("has {name}, which is an option {whose} only"));
    }
    match name {
        "name" => listen.name = Some(read_name(value).map_err(bad)?),
        "backlog" => {
            let count = read_count(value).filter(|it| (1..=BACKLOG_MAX).contains(it));
            listen.backlog = Some(count.ok_or_else(|| bad("a number from 1 to 65535"))?);
        }
        "mode" => {
            let mode = read_umask(value);
            listen.mode = mode.map_err(|_| bad("an octal mode from 000 to 777"))?;
        }
        "owner" => listen.owner = Some(read_account(value)?),
        "group" => listen.group = Some(read_account(value)?),
        "v6only" => listen.v6only = read_yes(value).map_err(bad)?,
        "reuse-port" => listen.reuse_port = read_yes(value).map_err(bad)?,
        _ => listen.freebind = read_yes(value).map_err(bad)?,
    }
    Ok(())
}

/// LISTEN_FDNAMES has colons between names, and nothing that cannot be seen.
fn read_name(value: &str) -> Result<String, Must> {
    let is_known = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if value.len() > 64 || !value.bytes().all(is_known) {
        return Err("at most 64 visible letters of ASCII without a colon");
    }
    Ok(value.into())
}

/// Writes where a socket is.
pub fn show_address(listen: &Listen) -> String {
    let known = PROTOCOLS.iter().find(|(_, protocol)| *protocol == listen.protocol);
    let name = known.map_or("", |(name, _)| name);
    match &listen.address {
        Address::Any(port) => format!("{name}:*:{port}"),
        Address::Ip(address) => format!("{name}:{address}"),
        Address::Path(path) => format!("{name}:{path}"),
        Address::Abstract(it) => format!("{name}:@{it}"),
    }
}

/// Writes what `add_listen` reads.
pub fn show_listen(listen: &Listen) -> String {
    let mut text = String::new();
    add_word(&mut text, &show_address(listen));
    let mut option = |name: &str, value: &str| {
        text.push(' ');
        add_word(&mut text, &[name, "=", value].concat());
    };
    let text_of = |value: &Option<u32>| value.map(|it| it.to_string());
    let mode = (listen.mode != MODE).then(|| format!("{:04o}", listen.mode));
    let texts = [
        ("name", listen.name.clone()),
        ("backlog", text_of(&listen.backlog)),
        ("mode", mode),
        ("owner", listen.owner.clone()),
        ("group", listen.group.clone()),
    ];
    texts.iter().for_each(|(name, value)| value.iter().for_each(|it| option(name, it)));
    let flags = [listen.v6only, listen.reuse_port, listen.freebind];
    for (name, is_set) in OPTIONS.iter().skip(texts.len()).zip(flags) {
        if is_set {
            option(name, "yes");
        }
    }
    text
}

/// Brackets need no quotes here, but blanks do.
fn add_word(text: &mut String, word: &str) {
    if word.contains([' ', '\t', '\'', '"', '\\']) {
        quote_into(text, word);
    } else {
        text.push_str(word);
    }
}

/// What is wrong with the keys about sockets together, and which of them is to blame.
pub fn check_together(spec: &Spec) -> Option<(&'static str, &'static str)> {
    let is_stdin = spec.listen_as == ListenAs::Stdin;
    match spec.listen.len() {
        0 if spec.policy.start == Start::OnDemand => {
            Some(("start", "start= is on-demand, but there is no listen= line to hear of it"))
        }
        0 if is_stdin => Some(("listen-as", "listen-as= is stdin, but there is no listen= line")),
        2.. if is_stdin => {
            Some(("listen-as", "listen-as= is stdin, which can be one socket, not several"))
        }
        1.. if is_stdin && spec.stdin != super::Stream::Null => {
            Some(("stdin", "stdin= is set, but listen-as=stdin makes a socket of it"))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
