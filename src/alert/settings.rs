//! What a file of /etc/going-alert.d says: which services, which events, to whom.

use std::time::Duration;

use regex::bytes::Regex;

use super::event::Kind;
use super::every::Every;
use crate::config::Burst;

/// All of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names, patterns and tags of services.
    pub service: Vec<String>,
    /// Of these events.
    pub event: Vec<Kind>,
    /// What is looked for in what services write.
    pub keyword: Vec<Pattern>,
    /// Addresses that get mail.
    pub mail: Vec<String>,
    /// Who it is from; us, if it does not say.
    pub from: Option<String>,
    /// The server which takes it; otherwise sendmail(8) does.
    pub smtp: Option<Server>,
    /// How what we say to that server is kept secret.
    pub tls: Tls,
    /// Whose certificates are believed, if not those of the system.
    pub tls_ca: Option<String>,
    /// The program that takes mail.
    pub sendmail: String,
    /// Our name at that server.
    pub user: Option<String>,
    /// Where the password or token is.
    pub secret: Option<Source>,
    /// Where to post.
    pub webhook: Option<Hook>,
    /// What to post.
    pub shape: Shape,
    /// What to run.
    pub command: Vec<String>,
    /// The facility of syslog(3), shifted as it goes over the wire.
    pub syslog: Option<u8>,
    /// For one try to deliver.
    pub timeout: Duration,
    /// So many of a service's last lines are told.
    pub lines: u32,
    /// When they are sent.
    pub every: Every,
    /// How long a service must be up until its bad time is over; nothing if each event
    /// is told.
    pub calm: Duration,
    /// So many messages within so long are told.
    pub limit: Option<Burst>,
    /// So many messages wait at most.
    pub spool: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: vec!["*".to_owned()],
            event: Kind::USUAL.to_vec(),
            keyword: Vec::new(),
            mail: Vec::new(),
            from: None,
            smtp: None,
            tls: Tls::Later,
            tls_ca: None,
            sendmail: "/usr/sbin/sendmail".to_owned(),
            user: None,
            secret: None,
            webhook: None,
            shape: Shape::Json,
            command: Vec::new(),
            syslog: None,
            timeout: Duration::from_secs(30),
            lines: 10,
            every: Every::Now,
            calm: Duration::from_secs(300),
            limit: Some(Burst { count: 100, within: Duration::from_secs(3600) }),
            spool: 1000,
        }
    }
}

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// A server and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Zero for the usual one.
    pub port: u16,
}

/// How a connection is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It begins in the clear and may not go on so.
    Later,
    /// From the first byte.
    Always,
    /// Not at all.
    Never,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file that nobody else can read.
    File(String),
    /// In a variable of our environment.
    Variable(String),
}

/// Where to post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// To this URL.
    Url(String),
    /// The URL is the secret.
    Secret,
}

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All we know.
    Json,
    /// As Slack and Mattermost take it.
    Slack,
    /// As ntfy takes it.
    Ntfy,
    /// As Mailgun takes it, for the addresses of `mail=`.
    Mailgun,
    /// As PagerDuty takes it, and what is like it.
    PagerDuty,
}

impl Settings {
    /// Whether messages are told one at a time.
    pub fn is_single(&self) -> bool {
        !self.command.is_empty()
            || self.syslog.is_some()
            || self.webhook.is_some() && self.shape == Shape::PagerDuty
    }
}
