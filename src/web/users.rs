//! Who may come in: a file with a line for each, `NAME:ROLE:HASH`. Passwords are
//! kept as argon2id hashes; tokens, which nobody can guess, as plain digests.
//! Neither is ever written anywhere, and nobody else may read the file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use nix::unistd::Uid;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Change things, too.
    Full,
}

impl Role {
    /// The role of this word.
    pub fn read(word: &str) -> Option<Role> {
        match word {
            "read" => Some(Role::Read),
            "full" => Some(Role::Full),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        if self == Role::Full { "full" } else { "read" }
    }
}

/// How they show who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Password(String),
    Token(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    name: String,
    role: Role,
    proof: Proof,
}

/// All of them.
#[derive(Debug)]
pub struct Users {
    all: Vec<User>,
    /// Mixed into what is remembered, so that it is of no use elsewhere.
    pepper: [u8; 16],
    /// Passwords that were right, for argon2 takes its time.
    known: Mutex<Vec<([u8; 32], Role)>>,
    /// One hash at a time: with many, strangers could use up all memory.
    hashing: Mutex<()>,
    /// Those who wait for that.
    waiting: AtomicUsize,
}

/// Why a password lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is not the right one.
    Wrong,
    /// Too many others are asked for theirs.
    Busy,
}

/// More than these do not wait for a hash: whoever types a password does not want
/// to wait for longer than a second.
const WAITING_MAX: usize = 16;

/// So many that were right are remembered, the oldest forgotten first.
const KNOWN_MAX: usize = 64;

impl Users {
    /// Nobody.
    pub fn none() -> Users {
        Users::of(Vec::new(), [0; 16])
    }

    fn of(all: Vec<User>, pepper: [u8; 16]) -> Users {
        let known = Mutex::new(Vec::new());
        Users { all, pepper, known, hashing: Mutex::new(()), waiting: AtomicUsize::new(0) }
    }

    /// Reads the file of users.
    ///
    /// # Errors
    /// A sentence with file and line.
    pub fn load(path: &Path) -> Result<Users, String> {
        let shown = path.display();
        let failed = |error: io::Error| format!("{shown}: {}", crate::sys::explain(&error));
        let mut file = File::open(path).map_err(failed)?;
        let stat = file.metadata().map_err(failed)?;
        if stat.mode() & 0o077 != 0 {
            return Err(format!("{shown}: others can read it; chmod 600 {shown}"));
        }
        let us = Uid::effective().as_raw();
        if stat.uid() != us && stat.uid() != 0 {
            return Err(format!("{shown}: it belongs to somebody else (uid {})", stat.uid()));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let all = parse(&text).map_err(|(line, why)| format!("{shown}:{line}: {why}"))?;
        let pepper = random().map_err(|error| format!("/dev/urandom: {error}"))?;
        Ok(Users::of(all, pepper))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What somebody with this password may do.
    ///
    /// # Errors
    /// Nobody has it, or too many ask at once.
    pub fn password(&self, name: &str, password: &str) -> Result<Role, Denial> {
        let mut seal = Blake2b::<U32>::new();
        seal.update(self.pepper);
        seal.update(name.len().to_le_bytes());
        seal.update(name.as_bytes());
        seal.update(password.as_bytes());
        let seal: [u8; 32] = seal.finalize().into();
        if let Some((_, role)) = lock(&self.known).iter().find(|(it, _)| is_same(it, &seal)) {
            return Ok(*role);
        }
        // Whoever is known never comes here, so that no stranger keeps them waiting.
        let _one = Waiting::begin(&self.waiting).ok_or(Denial::Busy)?;
        let _turn = lock(&self.hashing);
        let user = self.all.iter().find(|it| it.name == name);
        let Some((hash, role)) = user.and_then(|it| match &it.proof {
            Proof::Password(hash) => Some((hash.as_str(), it.role)),
            Proof::Token(_) => None,
        }) else {
            // As slow as for one who is there, so that nobody can tell.
            let _ = hash(password, &[0; 16]);
            return Err(Denial::Wrong);
        };
        let parsed = PasswordHash::new(hash).map_err(|_| Denial::Wrong)?;
        let verified = Argon2::default().verify_password(password.as_bytes(), &parsed);
        verified.map_err(|_| Denial::Wrong)?;
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_MAX {
            known.remove(0);
        }
        known.push((seal, role));
        Ok(role)
    }

    /// What somebody with this token may do.
    pub fn token(&self, token: &str) -> Option<Role> {
        let digest = digest(token);
        let mut found = None;
        for user in &self.all {
            if let Proof::Token(known) = &user.proof {
                if is_same(known.as_bytes(), digest.as_bytes()) {
                    found = Some(user.role);
                }
            }
        }
        found
    }
}

/// Poisoned by a panic, it would still be what it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of those who wait for their turn.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn begin(count: &AtomicUsize) -> Option<Waiting<'_>> {
        let one = Waiting(count);
        (count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(one)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Compares without telling by the time it takes how much is right.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && std::hint::black_box(one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b))) == 0
}

fn parse(text: &str) -> Result<Vec<User>, (usize, String)> {
    let mut all: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let user = parse_line(line).map_err(|why| (number, why))?;
        if all.iter().any(|it| it.name == user.name) {
            return Err((number, format!("`{}` is there twice", user.name)));
        }
        all.push(user);
    }
    Ok(all)
}

fn parse_line(line: &str) -> Result<User, String> {
    let form = "a line is NAME:ROLE:HASH, made by going-web --password NAME";
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(form.to_owned());
    };
    let role = Role::read(role).ok_or("the role must be read or full")?;
    let proof = match hash.strip_prefix("token:") {
        Some(digest) if digest.len() == 64 => Proof::Token(digest.to_owned()),
        Some(_) => return Err("the token's digest must have 64 digits".to_owned()),
        None => {
            let parsed = PasswordHash::new(hash).map_err(|_| form.to_owned())?;
            if parsed.algorithm != argon2::ARGON2ID_IDENT {
                return Err("the hash must be of argon2id".to_owned());
            }
            Proof::Password(hash.to_owned())
        }
    };
    if name.is_empty() {
        return Err(form.to_owned());
    }
    Ok(User { name: name.to_owned(), role, proof })
}

/// Random bytes.
///
/// # Errors
/// There are none.
pub fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn digest(token: &str) -> String {
    hex(&Blake2b::<U32>::digest(token.as_bytes()))
}

fn hash(password: &str, salt: &[u8]) -> Result<String, String> {
    let salt = SaltString::encode_b64(salt).map_err(|error| error.to_string())?;
    // 19 MiB and two passes, as OWASP recommends.
    let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::DEFAULT);
    let hash = hasher.hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

fn check_name(name: &str) -> Result<(), String> {
    let is_fine = !name.is_empty() && !name.contains(|it: char| it == ':' || it.is_control());
    if is_fine { Ok(()) } else { Err("a name is not empty and has no colon in it".to_owned()) }
}

/// The line for somebody with this password.
///
/// # Errors
/// A sentence.
pub fn password_line(name: &str, role: Role, password: &str) -> Result<String, String> {
    check_name(name)?;
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    let salt = random().map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(format!("{name}:{}:{}", role.word(), hash(password, &salt)?))
}

/// A new token, and the line for whoever has it.
///
/// # Errors
/// A sentence.
pub fn token_line(name: &str, role: Role) -> Result<(String, String), String> {
    check_name(name)?;
    let random = || random().map_err(|error| format!("/dev/urandom: {error}"));
    let token = format!("{}{}", hex(&random()?), hex(&random()?));
    let line = format!("{name}:{}:token:{}", role.word(), digest(&token));
    Ok((token, line))
}

/// The password that somebody types, or pipes, in.
///
/// # Errors
/// There is none.
pub fn read_password() -> Result<String, String> {
    let quiet = Quiet::begin();
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    drop(quiet);
    read.map_err(|error| format!("can't read the password: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Option<nix::sys::termios::Termios>);

impl Quiet {
    fn begin() -> Quiet {
        use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Quiet(None) };
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &quiet);
        let _ = io::Write::write_all(&mut io::stderr(), b"Password: ");
        Quiet(Some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let now = nix::sys::termios::SetArg::TCSANOW;
            let _ = nix::sys::termios::tcsetattr(io::stdin(), now, before);
            let _ = io::Write::write_all(&mut io::stderr(), b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Users {
        Users::of(parse(text).unwrap(), [7; 16])
    }

    #[test]
    fn passwords_are_known_again_and_others_are_not() {
        let text = password_line("ann", Role::Read, "secret").unwrap();
        let users = users(&format!("# people\n\n{text}\n"));
        for _ in 0..2 {
            assert_eq!(users.password("ann", "secret"), Ok(Role::Read));
            assert_eq!(users.password("ann", "secre"), Err(Denial::Wrong));
            assert_eq!(users.password("bob", "secret"), Err(Denial::Wrong));
        }
        assert_eq!(users.known.lock().unwrap().len(), 1);
        assert!(!text.contains("secret"));
    }

    #[test]
    fn strangers_do_not_keep_those_waiting_who_are_known() {
        let text = password_line("ann", Role::Full, "secret").unwrap();
        let users = users(&text);
        assert_eq!(users.password("ann", "secret"), Ok(Role::Full));
        users.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert_eq!(users.password("ann", "guessed"), Err(Denial::Busy));
        // Even while a hash is made.
        let _turn = users.hashing.lock().unwrap();
        assert_eq!(users.password("ann", "secret"), Ok(Role::Full));
        users.waiting.store(0, Ordering::Relaxed);
    }

    #[test]
    fn tokens_are_known_and_are_no_passwords() {
        let (token, line) = token_line("ci", Role::Full).unwrap();
        let users = users(&line);
        assert_eq!(users.token(&token), Some(Role::Full));
        assert_eq!(users.token(&token.to_uppercase()), None);
        assert_eq!(users.token(""), None);
        assert_eq!(users.password("ci", &token), Err(Denial::Wrong));
        assert!(!line.contains(&token));
    }

    #[test]
    fn lines_that_are_wrong_are_told() {
        let wrong = |line: &str| parse(&format!("\n{line}\n")).unwrap_err();
        assert_eq!(wrong("ann").0, 2);
        assert!(wrong("ann:root:x").1.contains("role"));
        assert!(wrong("ann:full:plain").1.contains("NAME:ROLE:HASH"));
        assert!(wrong("ann:full:token:ab").1.contains("64"));
        let (_, line) = token_line("ci", Role::Full).unwrap();
        assert!(wrong(&format!("{line}\n{line}")).1.contains("twice"));
        assert!(password_line("a:b", Role::Full, "x").is_err());
    }
}
