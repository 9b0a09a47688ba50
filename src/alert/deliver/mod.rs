//! One try to tell somebody. It takes no longer than it was given, and never shows
//! a secret, in what it says or in what it runs.

mod command;
mod mail;
mod secret;
mod smtp;
mod syslog;
mod tls;
mod webhook;

use std::fs;

use super::event::Alert;
use super::settings::Settings;

/// Why nobody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may go better next time.
    Passing(String),
    /// These messages will never be taken.
    Refused(String),
}

impl Failure {
    /// In words.
    pub fn sentence(&self) -> &str {
        match self {
            Failure::Passing(text) | Failure::Refused(text) => text,
        }
    }
}

/// Tells these.
///
/// # Errors
/// Nobody was told, or we do not know.
pub fn deliver(settings: &Settings, alerts: &[Alert]) -> Result<(), Failure> {
    if let Some(hook) = &settings.webhook {
        return webhook::post(settings, hook, alerts);
    }
    if let Some(facility) = settings.syslog {
        return alerts.iter().try_for_each(|alert| syslog::send(facility, alert));
    }
    if !settings.mail.is_empty() {
        return mail::send(settings, alerts);
    }
    alerts.iter().try_for_each(|alert| command::tell(settings, alert))
}

/// What is missing that can be seen without telling anybody, and the key it is about.
pub fn foresee(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    if let Some(source) = &settings.secret {
        match secret::read(source) {
            // That of a service is not ours.
            Err(secret::Missing::Variable(_)) | Ok(_) => {}
            Err(secret::Missing::File(why)) => wrong.push(("secret", why)),
        }
    }
    if settings.tls_ca.is_some() {
        wrong.extend(tls::roots(settings.tls_ca.as_deref()).err().map(|why| ("tls-ca", why)));
    }
    let (key, program) = match settings.command.first() {
        Some(program) => ("command", program),
        None => ("sendmail", &settings.sendmail),
    };
    let has_program =
        !settings.command.is_empty() || !settings.mail.is_empty() && settings.smtp.is_none();
    if has_program && settings.webhook.is_none() && fs::metadata(program).is_err() {
        wrong.push((key, format!("there is no {program}")));
    }
    wrong
}

/// The name of this machine.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.chars().filter(|it| it.is_ascii_alphanumeric() || ".-_".contains(*it)).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
