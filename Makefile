# `make` builds going, `make install` installs it, `make run` shows it at work,
# `make test` runs every test there is.

PREFIX = /usr
sbindir = $(PREFIX)/sbin
bindir = $(PREFIX)/bin
datadir = $(PREFIX)/share
mandir = $(datadir)/man
# going itself looks for its services in /etc/going.d; with another directory
# here it has to be told by `going -d`.
sysconfdir = /etc

CARGO = cargo
# Static and the same on every distribution, which glibc's own static programs
# are not: those load modules of the glibc they were built with.
TARGET = $(shell uname -m)-unknown-linux-musl
# For how long `make test` fuzzes, in seconds.
FUZZ = 20
# More options for `make run`, for instance ARGS=-v.
ARGS =

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
CARGO_TARGET_DIR ?= target
BUILT = $(CARGO_TARGET_DIR)/built

PROGRAMS = going going-log goingctl
# What cargo is told of the programs that are built when they are asked for.
FEATURES =

all: static

# The static binary; or the host's own kind, if the target cannot be had. Its std
# is compiled along, small rather than fast, without the machinery that turns a
# panic's addresses into names, which the toolchain's own std links in and which is
# half of going, and without the tables for unwinding, which nobody reads where a
# panic aborts. All that takes the source of std, and a switch of cargo that is not
# stable yet. Without them, or with LEAN=no, going is the same and 370 kB larger.
#
# Not in here: -Zfmt-debug=none takes the words out of lexopt's complaints, and
# opt-level=z is larger.
LEAN = yes
BUILD_STD = -Zbuild-std=std
# Addresses that are filled in at the start, packed: an eightieth of the room. A
# linker that does not know it says so and goes on; a libc that does not, as musl
# before 1.2.4 does not, makes a program that cannot start, which is tried out. Code
# and what else is only read share their pages: 4 kB less, and 8 in memory.
LEAN_FLAGS = -Cforce-unwind-tables=no -Clink-arg=-Wl,--no-eh-frame-hdr \
	-Clink-arg=-Wl,-z,pack-relative-relocs -Clink-arg=-Wl,-z,noseparate-code
# A panic is an instruction that the processor refuses, and going tells where that
# was (`make where`), in place of its message: 55 kB less, and 20 less in memory.
LEAN_FLAGS += -Zunstable-options -Cpanic=immediate-abort

static:
	@./tests/need cargo
	@set -e; host=--target; target=$(TARGET); \
	has() { test -d "$$(rustc --print target-libdir --target $$target 2>/dev/null)"; }; \
	has || rustup target add $$target || :; \
	has || { host=; target=; echo "No Rust target $(TARGET) here: building a dynamic going."; }; \
	is_lean() { test -n "$$target" && test "$(LEAN)" = yes; }; \
	src=$$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.toml; \
	if is_lean; then test -f "$$src" || rustup component add rust-src || :; fi; \
	if is_lean && test -f "$$src" && RUSTC_BOOTSTRAP=1 RUSTFLAGS="$$RUSTFLAGS $(LEAN_FLAGS)" \
		$(CARGO) build --release --locked $(FEATURES) $(BUILD_STD) \
		-Zbuild-std-features=optimize_for_size $$host $$target && \
		$(CARGO_TARGET_DIR)/$$target/release/going --version >/dev/null; then :; else \
		echo "Building with the toolchain's own std: going gets 370 kB larger."; \
		$(CARGO) build --release --locked $(FEATURES) $$host $$target; \
	fi; \
	mkdir -p $(BUILT); \
	for program in $(PROGRAMS); do \
		install -m 755 $(CARGO_TARGET_DIR)/$$target/release/$$program $(BUILT)/$$program; \
		strip $(BUILT)/$$program || echo "$$program keeps its names and lines."; done

# What is at AT, an address which a program of this version told when it died of a
# bug: functions, files and lines. `make where AT=0x1234 OF=goingctl`
OF = going
where: static
	@test -n "$(AT)" || { echo "Which address? make where AT=0x1234 [OF=goingctl]"; exit 64; }
	@addr2line -Cfie $(CARGO_TARGET_DIR)/$(TARGET)/release/$(OF) $(AT)

# going-web(8), which needs a few crates more. `make install` takes it along.
web: FEATURES = --features web
web: PROGRAMS += going-web
web: static

# going-alert(8), which needs a C compiler, too, for the arithmetic of TLS.
alert: FEATURES = --features alert
alert: PROGRAMS += going-alert
alert: need-musl static

need-musl:
	@case $(TARGET) in *-musl) ./tests/need musl-gcc ;; esac

# Only where nothing was built yet, so that `sudo make install` needs no cargo.
$(BUILT)/going:
	@$(MAKE) static

# Stop it with Ctrl-C. Edit the examples while it runs, and see what it says.
# Root's going takes no files of other users, so for root they may be copied.
run: static
	@set -e; dir=etc/going.d; \
	if [ "$$(id -u)" = 0 ] && [ "$$(stat -c %u $$dir/clock)" != 0 ]; then \
		dir=$$(mktemp -d)/going.d; cp -R etc/going.d "$$dir"; \
		echo "The examples belong to another user; root runs copies: $$dir"; \
	fi; \
	exec $(BUILT)/going -d "$$dir" -r $(CARGO_TARGET_DIR)/run -l $(CARGO_TARGET_DIR)/log \
		-o stdout=inherit -o log-prefix=yes --report stderr $(ARGS)

check:
	@./tests/need cargo fmt clippy mandoc
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	mandoc -Tlint -W warning man/*.[1-9]
	$(CARGO) test --locked --all-features --test house

test: static
	@./tests/need cargo busybox unshare
	@./tests/run $(BUILT)/going $(FUZZ)

# Everything that can happen to going, at random, for an hour, or SOAK seconds. It
# prints a seed, by which CHAOS_SEED=N has the same happen again.
SOAK = 3600
soak: static
	@./tests/need cargo
	GOING_BIN=$(abspath $(BUILT)/going) CHAOS_SECONDS=$(SOAK) \
		$(CARGO) test --locked --all-features --test chaos whatever -- --nocapture

bench: bench-memory bench-status bench-logs bench-web bench-figures

# Takes half an hour, and wants the machine for itself.
bench-figures: static
	@./tests/bench/figures $(BUILT)/going 5 $(CARGO_TARGET_DIR)/bench

bench-status: static
	@./tests/bench/status $(BUILT)/going

bench-logs: static
	@./tests/bench/logs $(BUILT)/going

bench-web: web
	@./tests/bench/web $(BUILT)/going

bench-memory: static
	@./tests/bench/memory $(BUILT)/going

# Into another name first, then in its place at once: init may start going at
# any moment. What the operator has in going.d is the operator's.
install: $(BUILT)/going
	install -d "$(DESTDIR)$(sbindir)" "$(DESTDIR)$(bindir)"
	for section in 5 7 8; do install -d "$(DESTDIR)$(mandir)/man$$section" && \
		install -m 644 man/*.$$section "$(DESTDIR)$(mandir)/man$$section" || exit; done
	for program in going-log going; do \
		install -m 755 $(BUILT)/$$program "$(DESTDIR)$(sbindir)/.$$program.new" && \
		mv -f "$(DESTDIR)$(sbindir)/.$$program.new" "$(DESTDIR)$(sbindir)/$$program" || exit; done
	for program in going-web going-alert; do ! test -f $(BUILT)/$$program || { \
		install -m 755 $(BUILT)/$$program "$(DESTDIR)$(sbindir)/.$$program.new" && \
		mv -f "$(DESTDIR)$(sbindir)/.$$program.new" "$(DESTDIR)$(sbindir)/$$program"; } || exit; done
	install -m 755 $(BUILT)/goingctl "$(DESTDIR)$(bindir)/.goingctl.new"
	mv -f "$(DESTDIR)$(bindir)/.goingctl.new" "$(DESTDIR)$(bindir)/goingctl"
	install -d $(COMPLETIONS)
	install -m 644 etc/completions/goingctl.bash "$(DESTDIR)$(bashdir)/goingctl"
	install -m 644 etc/completions/goingctl.zsh "$(DESTDIR)$(zshdir)/_goingctl"
	install -m 644 etc/completions/goingctl.fish "$(DESTDIR)$(fishdir)/goingctl.fish"
	test -d "$(DESTDIR)$(sysconfdir)/going.d" || \
		install -d -m 755 "$(DESTDIR)$(sysconfdir)/going.d"

# Where the shells look for completions.
bashdir = $(datadir)/bash-completion/completions
zshdir = $(datadir)/zsh/vendor-completions
fishdir = $(datadir)/fish/vendor_completions.d
COMPLETIONS = "$(DESTDIR)$(bashdir)" "$(DESTDIR)$(zshdir)" "$(DESTDIR)$(fishdir)"

# The services in going.d stay.
uninstall:
	rm -f "$(DESTDIR)$(sbindir)/going" "$(DESTDIR)$(sbindir)/going-log" \
		"$(DESTDIR)$(sbindir)/going-web" "$(DESTDIR)$(sbindir)/going-alert" \
		"$(DESTDIR)$(bindir)/goingctl"
	rm -f "$(DESTDIR)$(bashdir)/goingctl" "$(DESTDIR)$(zshdir)/_goingctl" \
		"$(DESTDIR)$(fishdir)/goingctl.fish"
	for page in man/*.[578]; do \
		rm -f "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"; done

dist:
	mkdir -p dist
	git archive --prefix=going-$(VERSION)/ -o dist/going-$(VERSION).tar.gz HEAD
	@echo dist/going-$(VERSION).tar.gz

clean:
	rm -rf dist tests/fuzz/target
	$(CARGO) clean

.PHONY: all static where web alert need-musl run check test soak bench bench-memory bench-status bench-logs bench-web bench-figures install uninstall dist clean
