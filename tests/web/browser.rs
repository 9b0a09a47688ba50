//! The page in a real browser: what people click, type and see. The pictures it
//! takes are in `pictures` beside the programs, for people to look at.

use serde_json::json;

use super::chromium::Chromium;
use super::site::{Site, users};
use crate::common::{Going, Place, Signal, wait_until};

/// What every one of these tests needs; the browser ends first.
struct Scene {
    browser: Chromium,
    site: Site,
    /// The last one is the one that is there.
    goings: Vec<Going>,
    place: Place,
}

impl Scene {
    fn open(services: &[(&str, &str)]) -> Option<Scene> {
        let place = Place::new();
        let browser = Chromium::start(&place)?;
        for (name, text) in services {
            place.service(name, text);
        }
        let going = place.start(&["-o", "stdout=log"]);
        let site = Site::open(&place, &["--users", &users(&place)]);
        Some(Scene { browser, site, goings: vec![going], place })
    }

    /// With who one is in the address, which scripts may not use.
    fn visit(&self, name: &str, path: &str) {
        self.browser.open(&format!("http://{name}:secret@127.0.0.1:{}{path}", self.site.port));
    }

    fn service(&self, name: &str, script: &str, more: &str) {
        self.place.service(name, &format!("{}{more}", self.place.logged(name, script)));
    }

    /// Ends going, and waits for that.
    fn end_going(&mut self, signal: Signal) {
        let going = self.goings.last_mut().unwrap();
        going.signal(signal);
        going.wait_exit();
    }

    fn start_going(&mut self) {
        let going = self.place.start(&["-o", "stdout=log"]);
        self.goings.push(going);
    }

    #[track_caller]
    fn wait_state(&self, name: &str, state: &str) {
        self.browser.wait_text(&format!("tr[data-name='{name}'] .state"), state);
    }

    /// Nothing went wrong in the page, and its policy had nothing to refuse.
    #[track_caller]
    fn end(self) {
        assert_eq!(*self.browser.complaints.borrow(), Vec::<String>::new());
    }
}

#[test]
fn services_are_started_and_stopped_by_clicks() {
    let Some(scene) = Scene::open(&[]) else { return };
    scene.service("api", "exec sleep 1000", "tag=front\n");
    scene.service("web", "exec sleep 1000", "tag=front\n");
    scene.service("db", "exec sleep 1000", "");
    for name in ["api", "web", "db"] {
        scene.place.wait_starts(name, 1);
    }
    let page = &scene.browser;
    scene.visit("ann", "/");
    page.wait_text("#link", "live");
    scene.wait_state("web", "up");

    page.click("[aria-label='stop web']");
    scene.wait_state("web", "down");
    page.wait_text("#note", "web: stop asked for");
    page.click("[aria-label='start web']");
    scene.place.wait_starts("web", 2);
    scene.wait_state("web", "up");
    page.click("[aria-label='restart web']");
    scene.place.wait_starts("web", 3);
    // What happened came by itself.
    page.wait_text("#events", "stopping → down (killed by SIGTERM");
    page.wait_text("#events", "by order");

    // By tag: those which are shown, and no others.
    page.click("[data-kind='@front']");
    page.wait("document.querySelectorAll('#services tr').length === 2");
    assert_eq!(page.text("[data-all=restart]"), "restart these 2");
    page.click("[data-all=restart]");
    page.picture("dialog");
    assert!(page.text("dialog").contains("api, web"), "{}", page.text("dialog"));
    page.click("dialog button:not(.yes)");
    page.wait("!document.querySelector('dialog')");
    page.click("[data-all=restart]");
    page.click("dialog .yes");
    scene.place.wait_starts("api", 2);
    scene.place.wait_starts("web", 4);
    assert_eq!(scene.place.starts("db").len(), 1);

    // All of them; but not the one which writes their logs.
    page.key("Escape");
    page.wait("document.querySelectorAll('#services tr').length === 4");
    page.click("[data-all=stop]");
    assert!(!page.text("dialog").contains("going-log"), "{}", page.text("dialog"));
    page.click("dialog .yes");
    for name in ["api", "web", "db"] {
        scene.wait_state(name, "down");
    }
    scene.wait_state("going-log", "up");
    // A new file is a new row.
    scene.place.service("more", "cmd=sleep 1000\n");
    scene.wait_state("more", "up");
    scene.end();
}

#[test]
fn a_service_tells_why_it_ended_and_nothing_of_it_is_markup() {
    let evil = "<img src=x onerror=document.title=1>";
    let fine = format!("cmd=sleep 1000\ndescription={evil}\n");
    let Some(scene) = Scene::open(&[
        ("fine", &fine),
        (
            "dies",
            "cmd=sh -c 'echo \"<script>1</script> \x1b[31mred\x1b[0m last words\"; exit 3'\nstrikes=2\nbackoff=1s\n",
        ),
        ("bare", "cmd=/no/such/program\nstrikes=1\n"),
        ("broken", "cmd=true\n<b>foo</b>=1\n"),
    ]) else {
        return;
    };
    let page = &scene.browser;
    scene.visit("ann", "/");
    scene.wait_state("dies", "failed");
    page.wait_text("tr[data-name=bare]", "No such file or directory");
    page.wait_text("tr[data-name=broken]", "unknown key \"<b>foo</b>\"");
    page.wait_text("tr[data-name=fine]", evil);
    page.picture("services");

    page.click("tr[data-name=dies] a");
    page.wait_text("#deaths", "exit status 3");
    page.wait_text("#log", "<script>1</script> red last words");
    page.wait_text("#story", "exit status 3 after");
    page.picture("why");
    assert_ne!(page.script("document.title"), "1");
    scene.end();
}

#[test]
fn a_log_is_followed_and_searched() {
    let talker = "cmd=sh -c 'while read it; do echo \"got $it\"; done'\nstdin=pipe\n";
    let Some(scene) = Scene::open(&[("talker", talker)]) else { return };
    let page = &scene.browser;
    scene.visit("ann", "/");
    page.click("tr[data-name=talker] a");
    page.wait_text("#state", "up");
    page.wait_text("#link", "live");
    for line in ["one", "two [x]", "<i>three</i>"] {
        let body = json!({ "text": line }).to_string();
        assert_eq!(scene.site.post("/api/v1/services/talker/send", &body).status, 200);
        page.wait_text("#log", &format!("got {line}"));
    }
    page.click("#find");
    page.type_in("TWO [");
    page.wait_text("#hits", "1 lines");
    assert_eq!(page.text("#log mark"), "two [");
    assert!(!page.text("#log").contains("three"));
    // Lines that come are searched, too.
    scene.site.post("/api/v1/services/talker/send", "{\"text\": \"two [y]\"}");
    page.wait_text("#log", "got two [y]");
    page.picture("log");
    page.key("Escape");
    page.wait_text("#log", "got <i>three</i>");
    page.click("#pause");
    page.wait_text("#pause", "go on");
    scene.site.post("/api/v1/services/talker/send", "{\"text\": \"four\"}");
    wait_until("it is written", || {
        let text = "/api/v1/services/talker/log?format=text";
        scene
            .site
            .owner(&format!("GET {text} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
            .body
            .contains("four")
    });
    page.click("#pause");
    page.wait_text("#log", "got four");
    page.click("[aria-label='stop talker']");
    page.wait_text("#state", "down");
    page.wait_text("#deaths", "by order");
    page.wait_text("#events", "down");
    page.click("[aria-label='start talker']");
    page.wait_text("#state", "up");
    scene.end();
}

#[test]
fn a_going_that_is_gone_is_seen_and_its_return_as_well() {
    let Some(mut scene) = Scene::open(&[("web", "cmd=sleep 1000\n")]) else { return };
    scene.visit("ann", "/");
    scene.wait_state("web", "up");
    scene.browser.wait_text("#link", "live");
    scene.end_going(Signal::SIGKILL);
    scene.browser.wait_text("#link", "no connection");
    scene.browser.wait_text("#note", "going does not answer");
    scene.browser.picture("lost");
    // What was known is still there to be read.
    scene.wait_state("web", "up");
    scene.start_going();
    scene.browser.wait_text("#note", "Connected again");
    // Events come again, too, long before the next look.
    scene.site.post("/api/v1/services/web/stop", "");
    scene.browser.wait_text("#events", "stopping");
    scene.wait_state("web", "down");

    // An upgrade in place, and a page that was loaded when there was nothing.
    scene.site.post("/api/v1/upgrade", "");
    scene.site.post("/api/v1/services/web/start", "");
    scene.wait_state("web", "up");
    scene.end_going(Signal::SIGTERM);
    scene.visit("ann", "/");
    scene.browser.wait_text("#empty", "Going does not answer");
    scene.start_going();
    scene.wait_state("web", "up");
    scene.end_going(Signal::SIGTERM);
    scene.visit("ann", "/services/web");
    scene.browser.wait_text("main", "Nothing can be shown");
    scene.start_going();
    scene.browser.wait_text("#state", "up");
    scene.end();
}

#[test]
fn a_keyboard_is_enough() {
    let Some(scene) = Scene::open(&[]) else { return };
    for name in ["ape", "bat", "cat"] {
        scene.service(name, "exec sleep 1000", "");
        scene.place.wait_starts(name, 1);
    }
    scene.visit("ann", "/");
    scene.wait_state("cat", "up");
    let page = &scene.browser;
    let chosen = "(document.querySelector('.chosen') || {dataset: {}}).dataset.name";
    for key in ["j", "j", "j", "k"] {
        page.key(key);
    }
    page.wait(&format!("{chosen} === 'bat'"));
    page.key("r");
    scene.place.wait_starts("bat", 2);
    page.key("t");
    scene.wait_state("bat", "down");
    page.key("s");
    scene.place.wait_starts("bat", 3);
    // Keys that are typed are no orders.
    page.key("/");
    page.type_in("cat");
    page.wait("document.querySelectorAll('#services tr').length === 1");
    assert_eq!(page.script("location.search"), "?show=cat");
    page.key("Escape");
    page.wait("document.querySelectorAll('#services tr').length === 4");
    // Every button can be reached, and nobody gets lost when the page changes.
    page.script("document.querySelector('[aria-label=\"restart ape\"]').focus()");
    page.key("Enter");
    scene.place.wait_starts("ape", 2);
    page.wait("document.activeElement.closest('tr').dataset.name === 'ape'");
    page.script("document.querySelector('[aria-label=\"restart ape\"]').focus()");
    page.key("Tab");
    page.wait("document.activeElement.innerText === 'bat'");
    page.key("Enter");
    page.wait_text("h2", "bat");
    page.key("/");
    page.wait("document.activeElement.id === 'find'");
    scene.end();
}

#[test]
fn phones_and_darkness_are_no_trouble() {
    let long = "n".repeat(64);
    let Some(scene) = Scene::open(&[
        (
            "web",
            "cmd=sh -c 'echo hello; exec sleep 1000'\ntag=front\ndescription=Serves the pages\n",
        ),
        (&long, "cmd=sleep 1000\n"),
        ("bare", "cmd=/no/such/program\nstrikes=1\n"),
    ]) else {
        return;
    };
    let page = &scene.browser;
    page.size(390, 800);
    for (path, last) in [("/", "failed"), ("/services/web", "up")] {
        scene.visit("ann", path);
        page.wait_text("#link", "live");
        page.wait_text("main", last);
        // Nothing sticks out, and fingers hit what they want.
        page.wait("document.documentElement.scrollWidth <= innerWidth");
        page.wait(
            "[...document.querySelectorAll('main button')].filter((it) => it.offsetHeight) \
             .every((it) => it.offsetHeight >= 40)",
        );
        page.picture(if path == "/" { "phone" } else { "phone-service" });
    }
    page.click("[aria-label='stop web']");
    page.wait_text("#state", "down");
    page.click("[aria-label='start web']");
    page.wait_text("#state", "up");
    page.size(1200, 800);
    scene.visit("ann", "/");
    scene.wait_state("bare", "failed");
    // By the rule of WCAG 2: 4.5 between letters and paper, of all colours.
    let contrast = "(() => { const light = (text) => { \
        const [r, g, b] = text.match(/[\\d.]+/g).map((it) => it / 255) \
          .map((it) => it <= .03928 ? it / 12.92 : ((it + .055) / 1.055) ** 2.4); \
        return .2126 * r + .7152 * g + .0722 * b; }; \
      const paper = light(getComputedStyle(document.body).backgroundColor); \
      return Math.min(...[...document.querySelectorAll('main *, footer')].filter((it) => it.innerText) \
        .map((it) => light(getComputedStyle(it).color)) \
        .map((ink) => (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05))); })()";
    let mut papers = Vec::new();
    for scheme in ["dark", "light"] {
        page.scheme(scheme);
        page.picture(scheme);
        papers.push(page.script("getComputedStyle(document.body).backgroundColor"));
        let contrast = page.script(contrast).as_f64().unwrap();
        assert!(contrast >= 4.5, "{scheme}: {contrast}");
    }
    assert_ne!(papers[0], papers[1]);
    scene.end();
}

#[test]
fn without_scripts_it_can_be_read_and_its_buttons_work() {
    let Some(scene) = Scene::open(&[
        ("web", "cmd=sh -c 'echo hello; exec sleep 1000'\ntag=front\n"),
        ("db", "cmd=sleep 1000\n"),
    ]) else {
        return;
    };
    let page = &scene.browser;
    page.say("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    wait_until("all are up", || scene.site.get("/readyz").status == 200);
    scene.visit("ann", "/");
    let rows = "document.querySelectorAll('#services tr').length";
    page.wait_text("#services", "db");
    assert_eq!(page.script(rows), 3);
    assert!(page.text("#events").contains("starting → up"), "{}", page.text("#events"));
    // What cannot work is not there.
    assert!(!page.text("main").contains("restart all"), "{}", page.text("main"));
    page.picture("plain");
    page.click("[data-kind='@front']");
    page.wait(&format!("{rows} === 1"));
    page.click("[aria-label='stop web']");
    page.wait_text("#note", "web: stop asked for");
    wait_until("it is done", || {
        scene.site.get("/readyz").status == 200 && {
            scene.visit("ann", "/services/web");
            page.text("#state").contains("down")
        }
    });
    assert!(page.text("#deaths").contains("by order"));
    assert!(page.text("#log").contains("hello"));
    scene.end();
}

#[test]
fn those_who_may_look_are_offered_nothing_else() {
    let Some(scene) = Scene::open(&[]) else { return };
    let page = &scene.browser;
    scene.visit("eve", "/");
    page.wait_text("#link", "live");
    page.script("document.querySelector('#services tr') === null");
    scene.place.service("web", "cmd=sleep 1000\n");
    scene.wait_state("web", "up");
    page.wait("document.querySelectorAll('main button').length === 0");
    page.key("j");
    page.key("t");
    page.click("tr[data-name=web] a");
    page.wait_text("#link", "live");
    assert_eq!(page.script("document.querySelectorAll('#acts button').length"), 0);
    page.wait_text("#state", "up");
    scene.end();
}

#[test]
fn a_directory_without_services_says_what_to_do() {
    let place = Place::new();
    let Some(browser) = Chromium::start(&place) else { return };
    let _going = place.start(&[]);
    let site = Site::open(&place, &[]);
    browser.open(&format!("http://127.0.0.1:{}/", site.port));
    browser.wait_text("#link", "live");
    browser.wait_text("#empty", "Drop a file into going's directory");
    browser.picture("empty");
    place.service("web", "cmd=sleep 1000\n");
    browser.wait_text("#services", "web");
    assert!(!browser.text("main").contains("Drop a file"));
}
