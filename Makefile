# Installs ltspd below DESTDIR. The Debian package, the lab and an install by hand all use this.
DESTDIR ?=
PYTHON ?= /usr/bin/python3
CFLAGS ?= -s
LIB = $(DESTDIR)/usr/lib/ltspd
UNITS = $(DESTDIR)/usr/lib/systemd/system
COCKPIT = $(DESTDIR)/usr/share/cockpit/ltspd

# Clients' architectures. A module runs in any image since the C library 2.31, so it has no symbol of a later one.
PAM_ARCHES ?= x86_64 i686 aarch64
# Headers of libpam are the same for all architectures.
PAM_CC = $(ARCH)-linux-gnu-gcc -std=gnu11 -Os -Wall -Wextra $(PAM_WARNINGS) -idirafter /usr/include \
    -Wno-unused-parameter -fPIC -fstack-protector-strong -shared -s -Wl,-z,relro,-z,now,-z,defs

.PHONY: docs install pam
# Pages of docs/ that are made from the program's own tables. Manual pages, completions and the XML of the D-Bus
# interface are made by install.
docs:
	$(PYTHON) -B -m ltspd.manual

# One module, such as ARCH=aarch64 SO=build/aarch64.so.
pam:
	install -d $(dir $(SO))
	$(PAM_CC) -Wl,-soname,libpam.so.0 -o $(SO).libpam pam/libpam.c
	$(PAM_CC) -o $(SO) pam/pam_ltspd.c $(SO).libpam
	rm $(SO).libpam

# The server's own module, for the server's architecture.
$(LIB)/pam_new_password.so: login/pam_new_password.c
	install -d $(LIB)
	$(CC) -std=gnu11 -Os -Wall -Wextra $(CPPFLAGS) $(CFLAGS) -fPIC -shared $(LDFLAGS) -o $@ $< -lpam

install:
	install -d $(LIB) $(DESTDIR)/usr/bin $(DESTDIR)/usr/sbin $(DESTDIR)/usr/share/ltspd/client \
	    $(DESTDIR)/etc/ltsp $(DESTDIR)/etc/apt/apt.conf.d $(UNITS) \
	    $(DESTDIR)/usr/lib/sysusers.d $(DESTDIR)/usr/lib/tmpfiles.d \
	    $(DESTDIR)/usr/share/dbus-1/system.d $(DESTDIR)/usr/share/dbus-1/system-services \
	    $(DESTDIR)/usr/share/polkit-1/actions
	find ltspd -path ltspd/manual -prune -o -name '*.py' -print | while read -r file; do \
	    install -D -m 644 "$$file" "$(LIB)/$$file"; done
	find client -type f ! -name '*.md' | while read -r file; do \
	    install -D -m "$$(stat -c %a "$$file")" "$$file" "$(DESTDIR)/usr/share/ltspd/$$file"; done
	$(CC) -std=gnu11 -Os -Wall -Wextra $(CPPFLAGS) $(CFLAGS) -static $(LDFLAGS) -o $(LIB)/nbd-client \
	    nbd/nbd-client.c nbd/encrypt.c nbd/resident.c
	for arch in $(PAM_ARCHES); do \
	    if ! command -v "$$arch-linux-gnu-gcc" > /dev/null || ! [ -e /usr/include/security/pam_modules.h ]; then \
	        echo "install: people can't log in on $$arch clients by this server: that needs" \
	            "$$arch-linux-gnu-gcc with its C library, and libpam0g-dev" >&2; continue; fi; \
	    $(MAKE) --no-print-directory pam ARCH="$$arch" SO="$(DESTDIR)/usr/share/ltspd/client/pam/$$arch.so" || exit; done
	for program in sbin/ltspd:ltspd.__main__ bin/ltspctl:ltspd.cli.__main__ sbin/ltsp:ltspd.cli.ltsp \
	    lib/ltspd/ltsp5:ltspd.cli.ltsp5 \
	    lib/ltspd/gateway:ltspd.gateway.__main__ lib/ltspd/listener:ltspd.listener.__main__ lib/ltspd/setup:ltspd.setup.__main__ lib/ltspd/trial:ltspd.trial.__main__ lib/ltspd/probe:ltspd.probe.__main__ lib/ltspd/leases:ltspd.leases.__main__ lib/ltspd/notifier:ltspd.notifier.__main__; do \
	    target="$(DESTDIR)/usr/$${program%%:*}"; module="$${program#*:}"; \
	    printf '#!%s -I\nimport sys\n\nsys.path.insert(0, "/usr/lib/ltspd")\nfrom %s import main\n\nsys.exit(main())\n' \
	        "$(PYTHON)" "$$module" > "$$target"; \
	    chmod 755 "$$target"; done
	for name in $$($(PYTHON) -B -c 'from ltspd.cli.ltsp5 import COMMANDS; print(*COMMANDS)'); do \
	    ln -sf ../lib/ltspd/ltsp5 "$(DESTDIR)/usr/sbin/$$name"; done
	$(PYTHON) -m compileall -q -s '$(DESTDIR)' -p / $(LIB)
	install -m 755 login/login-account nat/nat nbd/nbd-swap $(LIB)
	if [ -e /usr/include/security/pam_modules.h ]; then \
	    $(MAKE) --no-print-directory $(LIB)/pam_new_password.so; else \
	    echo "install: people can't change their passwords at clients: that needs libpam0g-dev" >&2; fi
	ln -sf /usr/sbin/sshd $(LIB)/ltspd-login
	install -D -m 644 -t $(DESTDIR)/etc/pam.d pam.d/*
	install -m 644 systemd/*.service systemd/*.socket systemd/*.timer $(UNITS)
	install -D -m 644 systemd/ltspd-.service.d/hardening.conf $(UNITS)/ltspd-.service.d/hardening.conf
	install -D -m 644 systemd/ltspd-trial.service.d/machine.conf $(UNITS)/ltspd-trial.service.d/machine.conf
	install -D -m 644 systemd/ltspd-homes.service.d/writable.conf $(UNITS)/ltspd-homes.service.d/writable.conf
	install -D -m 644 systemd/ltspd-nat.service.d/tunables.conf $(UNITS)/ltspd-nat.service.d/tunables.conf
	install -D -m 644 systemd/ltspd-login.service.d/people.conf $(UNITS)/ltspd-login.service.d/people.conf
	install -m 644 systemd/ltspd.sysusers $(DESTDIR)/usr/lib/sysusers.d/ltspd.conf
	install -m 644 systemd/ltspd.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/ltspd.conf
	install -m 644 dbus/org.ltsp.Server1.conf $(DESTDIR)/usr/share/dbus-1/system.d/
	install -m 644 dbus/org.ltsp.Server1.service $(DESTDIR)/usr/share/dbus-1/system-services/
	install -m 644 polkit/org.ltsp.Server1.policy $(DESTDIR)/usr/share/polkit-1/actions/
	$(PYTHON) -B -m ltspd.manual $(DESTDIR)/usr/share > /dev/null
	install -D -m 644 desktop/ltspd-notifier.desktop $(DESTDIR)/etc/xdg/autostart/ltspd-notifier.desktop
	install -m 644 apt/80ltspd $(DESTDIR)/etc/apt/apt.conf.d/
	install -d $(COCKPIT)
	install -m 644 cockpit/*.js cockpit/*.json cockpit/*.html cockpit/*.css $(COCKPIT)
	$(PYTHON) -B cockpit/translate.py $(COCKPIT)
