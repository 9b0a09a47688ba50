//! What clients ask about the files themselves: to set them aside, to take them
//! back, and to read all of them again.

use std::fs;
use std::path::Path;

use super::Daemon;
use super::answer::Target;
use super::reload::{Decision, Finding};
use super::server::Client;
use crate::config::instances;
use crate::protocol::{self, Code, Command, Request, put};
use crate::sys;

impl Daemon {
    /// Sets files aside or takes them back; the listing tells the rest.
    pub(super) fn answer_file(&mut self, client: &mut Client, request: &Request) {
        let (targets, has_unknown) = self.find_targets(client, &request.names);
        let path = self.directory.path.clone();
        let is_enabling = request.command == Command::Enable;
        let mut failures = 0;
        let names = targets.into_iter().map(|target| match target {
            Target::Service(slot) => {
                self.supervisor.get(slot).map_or(String::new(), |it| it.name.to_string())
            }
            Target::Refused(name) | Target::Disabled(name) => name,
        });
        // Many instances are one file, if it is the template that is meant.
        let mut names: Vec<_> = names.map(|name| file_meant(&path, name, &request.names)).collect();
        names.dedup();
        for name in names {
            let (here, aside) = (path.join(&name), path.join(format!("{name}.disabled")));
            let is_disabled = !is_there(&here);
            let is_made = is_disabled && instances::parts(&name).is_some() && !is_there(&aside);
            let (from, to) = if is_enabling { (&aside, &here) } else { (&here, &aside) };
            let done = if is_made && !is_enabling {
                Err("it has no file of its own, only its template has".to_owned())
            } else if is_enabling != is_disabled {
                Ok("already")
            } else if is_there(to) {
                Err(format!("{} is there already", to.display()))
            } else {
                fs::rename(from, to).map(|()| "done").map_err(|error| sys::explain(&error))
            };
            put(&mut client.out, "service", &name);
            put(&mut client.out, "outcome", done.as_ref().unwrap_or(&"failed"));
            if let Err(message) = done {
                failures += 1;
                put(&mut client.out, "message", &message);
            }
            protocol::end(&mut client.out);
        }
        self.read_directory();
        if failures > 0 {
            return self.refuse_request(client, Code::Failed, "not every file could be renamed");
        }
        self.finish_known(client, has_unknown);
    }

    pub(super) fn answer_reload(&mut self, client: &mut Client, is_dry: bool) {
        let mut told = Vec::new();
        if is_dry {
            self.compare(|_, finding| put_finding(&mut told, &finding));
        } else {
            self.reread = None;
            self.directory.watch();
            self.compare(|daemon, finding| {
                put_finding(&mut told, &finding);
                daemon.apply(finding);
                daemon.follow_up();
            });
        }
        client.out.append(&mut told);
        self.finish(client);
    }
}

fn is_there(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok()
}

/// The name of the file that is meant by a service which one of `names` stands for.
fn file_meant(path: &Path, name: String, names: &[String]) -> String {
    let template = instances::parts(&name).map(|(template, _)| template);
    let template =
        template.filter(|it| !is_there(&path.join(&name)) && names.iter().any(|name| name == it));
    template.map(str::to_owned).unwrap_or(name)
}

fn put_finding(out: &mut Vec<u8>, finding: &Finding) {
    let decision = match &finding.decision {
        Decision::Start(_) => "start",
        Decision::Restart(_) => "restart",
        Decision::Apply(_) if finding.keys.is_empty() => "nothing",
        Decision::Apply(_) => "apply",
        Decision::Stop => "stop",
        Decision::Refuse(_) => "refuse",
    };
    put(out, "service", &finding.name);
    put(out, "decision", decision);
    if !finding.keys.is_empty() {
        put(out, "keys", &finding.keys.join(", "));
    }
    if let Decision::Refuse(lines) = &finding.decision {
        for line in lines.lines() {
            put(out, "complaint", line);
        }
    }
    protocol::end(out);
}
