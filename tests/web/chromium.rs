//! A real browser without a window, told what to do in its own words (the Chrome
//! DevTools Protocol) through a pair of pipes.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::{Place, has, wait_until};

/// Nobody waits longer for the browser.
const LIMIT: Duration = Duration::from_secs(60);

/// No sandbox, as root has none; and nothing that looks for the world outside.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync \
    --disable-dev-shm-usage --hide-scrollbars --force-color-profile=srgb \
    --remote-debugging-pipe";

/// A browser with one page, which ends with the test.
pub struct Chromium {
    child: Child,
    to: RefCell<ChildStdin>,
    from: Receiver<Value>,
    count: Cell<u64>,
    session: String,
    /// What the page complained about: exceptions, refusals of its own policy.
    pub complaints: RefCell<Vec<String>>,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Told to close, it takes its children along.
        let id = self.count.get() + 1;
        let close = json!({ "id": id, "method": "Browser.close" }).to_string() + "\0";
        let _ = self.to.borrow_mut().write_all(close.as_bytes());
        let ended = thread::spawn({
            let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
            move || {
                thread::sleep(Duration::from_secs(10));
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        });
        drop(ended);
        let _ = self.child.wait();
    }
}

impl Chromium {
    /// Starts it; nothing if there is none.
    pub fn start(place: &Place) -> Option<Chromium> {
        if !has("chromium") {
            return None;
        }
        // It takes its orders from descriptor 3 and answers on 4.
        let profile = place.path("profile");
        let line = format!(
            "exec chromium {FLAGS} --user-data-dir={profile} about:blank 3<&0 4>&1 </dev/null >&2"
        );
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(place.path("chromium.err")).unwrap())
            .spawn()
            .unwrap();
        let (give, from) = channel();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while out.read_until(0, &mut bytes).is_ok_and(|length| length > 1) {
                bytes.pop();
                if give.send(serde_json::from_slice(&bytes).unwrap()).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let to = RefCell::new(child.stdin.take().unwrap());
        let (count, complaints) = (Cell::new(0), RefCell::new(Vec::new()));
        let mut it = Chromium { child, to, from, count, session: String::new(), complaints };
        let targets = it.say("Target.getTargets", json!({}));
        let page = targets["targetInfos"].as_array().unwrap();
        let page = page.iter().find(|it| it["type"] == "page").unwrap()["targetId"].clone();
        let session = it.say("Target.attachToTarget", json!({ "targetId": page, "flatten": true }));
        it.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            it.say(&format!("{domain}.enable"), json!({}));
        }
        it.size(1200, 800);
        Some(it)
    }

    /// Gives an order, and takes its answer.
    #[track_caller]
    pub fn say(&self, method: &str, params: Value) -> Value {
        let id = self.count.get() + 1;
        self.count.set(id);
        let mut order = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            order["sessionId"] = json!(self.session);
        }
        self.to.borrow_mut().write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let message = self.from.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{method}"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&self, message: &Value) {
        let params = &message["params"];
        let told = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => params["exceptionDetails"].to_string(),
            // That an answer is an error is what some tests are about.
            Some("Log.entryAdded") if params["entry"]["source"] != "network" => {
                params["entry"].to_string()
            }
            _ => return,
        };
        self.complaints.borrow_mut().push(told);
    }

    /// Loads a page. It may be one that cannot be had.
    pub fn open(&self, url: &str) {
        // So that the old page is not taken for the new one.
        self.script("window.isOld = true");
        self.say("Page.navigate", json!({ "url": url }));
        self.wait("!window.isOld && document.readyState === 'complete'");
    }

    /// What an expression of JavaScript comes to.
    #[track_caller]
    pub fn script(&self, code: &str) -> Value {
        let how = json!({ "expression": code, "awaitPromise": true, "returnByValue": true });
        let answer = self.say("Runtime.evaluate", how);
        assert!(answer["exceptionDetails"].is_null(), "{code}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait(&self, code: &str) {
        let begin = Instant::now();
        while self.script(&format!("!!({code})")) != true {
            if begin.elapsed() > LIMIT {
                self.picture("in-vain");
                panic!("waited in vain for {code}; there is {}", self.text("body"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What can be read in the element.
    pub fn text(&self, selector: &str) -> String {
        let code = format!("(document.querySelector({selector:?}) || {{}}).innerText || ''");
        self.script(&code).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this can be read in the element.
    #[track_caller]
    pub fn wait_text(&self, selector: &str, text: &str) {
        let code = format!(
            "(document.querySelector({selector:?}) || {{innerText: ''}}).innerText.includes({text:?})"
        );
        self.wait(&code);
    }

    /// Clicks where a hand would, when that can be clicked at all.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let code = format!(
            "(() => {{ const it = document.querySelector({selector:?}); if (!it || it.disabled) return null; \
             it.scrollIntoView({{block: 'center'}}); const box = it.getBoundingClientRect(); \
             const at = [box.x + box.width / 2, box.y + box.height / 2]; \
             const top = document.elementFromPoint(...at); \
             return it === top || it.contains(top) ? at : null; }})()"
        );
        let at = RefCell::new(Value::Null);
        wait_until(&format!("{selector} can be clicked"), || {
            *at.borrow_mut() = self.script(&code);
            !at.borrow().is_null()
        });
        let at = at.into_inner();
        for kind in ["mousePressed", "mouseReleased"] {
            let how =
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.say("Input.dispatchMouseEvent", how);
        }
    }

    /// Presses a key, by the name of `KeyboardEvent.key`.
    pub fn key(&self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            one if one.len() == 1 => one,
            _ => "",
        };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let how =
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.say("Input.dispatchKeyEvent", how);
        }
    }

    /// Types a word.
    pub fn type_in(&self, word: &str) {
        word.chars().for_each(|letter| self.key(&letter.to_string()));
    }

    /// Makes the window so large; small ones are phones.
    pub fn size(&self, width: u32, height: u32) {
        let how = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500
        });
        self.say("Emulation.setDeviceMetricsOverride", how);
    }

    /// Takes a picture of the whole page, for people to look at.
    pub fn picture(&self, name: &str) {
        let shot = self.say("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        assert!(bytes.len() > 2000, "{name} is empty");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// Whether a colour scheme is wanted: `dark` or `light`.
    pub fn scheme(&self, word: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": word }]);
        self.say("Emulation.setEmulatedMedia", json!({ "features": features }));
    }
}
