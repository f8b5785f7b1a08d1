# SPDX-License-Identifier: MIT
#
# make            builds the library and the tools into build/
# make help       the other targets
#
# Variables: CC, CFLAGS (optimisation), SAN=address,undefined (sanitizers), B (build directory),
# PREFIX, DESTDIR, V=1 (show commands).

VERSION := 0.1.0
SOVER   := 0

CC      ?= cc
B       ?= build
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
PKG_CONFIG ?= pkg-config

# What apt-get is asked for when it is missing.
BUILD_PKGS := gcc make pkg-config libc6-dev libpcre2-dev libutf8proc-dev libjansson-dev libedit-dev
CHECK_PKGS := $(BUILD_PKGS) perl clang libclang-rt-dev valgrind xz-utils
STYLE_PKGS := $(BUILD_PKGS) cppcheck clang git perl python3-minimal shellcheck groff
MODEL      := tests/models/zen5-tiny.gguf

LIBS  := $(shell $(PKG_CONFIG) --libs libpcre2-8 libutf8proc jansson 2>/dev/null || echo -lpcre2-8 -lutf8proc -ljansson) -lm -lpthread
TLIBS := -ledit

# One answer on every machine: fma only where it is written (design: numerics).
Z5_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DZ5_VERSION='"$(VERSION)"' -Iinclude -Ilib -I. \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow=local -Wvla \
	-ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread
ifneq ($(SAN),)
Z5_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS   += -fsanitize=$(SAN)
endif
ifneq ($(FUZZER),)
Z5_CFLAGS += -DFUZZER -fsanitize=fuzzer-no-link
endif
# gcc 12 knows -Wshadow=local, clang does not
ifneq ($(findstring clang,$(CC)),)
Z5_CFLAGS := $(subst -Wshadow=local,-Wshadow,$(Z5_CFLAGS))
endif

LIB_SRC  := $(sort $(wildcard lib/*.c lib/*/*.c))
KERN_SRC := $(sort $(wildcard kernels/*.c kernels/*/*.c))
TOOLS    := $(patsubst tools/%.c,%,$(wildcard tools/zen5-*.c))
UNIT     := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/*.c))
BENCH    := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))

LIB_OBJ  := $(patsubst %.c,$(B)/%.o,$(LIB_SRC) $(KERN_SRC))
TOOL_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tools/zen5-%,$(wildcard tools/*.c)))

JOBS := -j$(shell nproc 2>/dev/null || echo 2)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

all: $(B)/libzen5rt.a $(B)/libzen5rt.so $(TOOLS:%=$(B)/%)

help:
	@sed -n 's/^#: //p' Makefile

#: make                  library and tools into build/
#: make demo             installs what is missing, builds, runs the model that ships with the project
#: make check            installs what is missing, builds, runs every test
#: make fuzz             longer: FUZZ_SECONDS=600 of fuzzing for each target of tests/fuzz
#: make install          PREFIX=/usr/local DESTDIR=
#: make bench            each kernel's GB/s and GOPS on this machine
#: make style            cppcheck, the analysers of clang and gcc, and the rules that text has (minutes)
#: make clean
#:
#: CC=clang  CFLAGS=-O2  SAN=address,undefined  B=build  V=1

# Kernels of a level see exactly the instructions that the level stands for.
AVX2   := -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
$(B)/kernels/avx2/%.o:   Z5_EXTRA := $(AVX2)
$(B)/kernels/avx512/%.o: Z5_EXTRA := $(AVX512)
# libc looks for argp_program_version in the program.
$(B)/tools/%.o: Z5_EXTRA := -fvisibility=default
# The definition is plain C; -O3 may vectorise it but never reorder a sum.
$(B)/kernels/%.o: CFLAGS := $(subst -O2,-O3,$(CFLAGS))
$(B)/lib/quant/%.o: CFLAGS := $(subst -O2,-O3,$(CFLAGS))

# Rewritten when the flags differ from those of the last build in this directory; an install takes what was built.
FLAGS := $(CC) $(CFLAGS) $(Z5_CFLAGS) $(LDFLAGS)
ifeq ($(filter install clean help,$(MAKECMDGOALS)),)
ifneq ($(FLAGS),$(file <$(B)/flags))
$(shell mkdir -p $(B))$(file >$(B)/flags,$(FLAGS))
endif
endif
$(B)/flags:
	@mkdir -p $(B) && touch $@

$(B)/%.o: %.c Makefile $(B)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(Z5_CFLAGS) $(Z5_EXTRA) -MMD -MP -c -o $@ $<

$(B)/libzen5rt.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/libzen5rt.so.$(VERSION): $(LIB_OBJ) lib/zen5rt.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libzen5rt.so.$(SOVER) -Wl,--version-script,lib/zen5rt.map $(if $(SAN),,-Wl,-z,defs) \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)

$(B)/libzen5rt.so: $(B)/libzen5rt.so.$(VERSION)
	$(Q)ln -sf libzen5rt.so.$(VERSION) $(B)/libzen5rt.so.$(SOVER) && ln -sf libzen5rt.so.$(SOVER) $@

# Tools carry the library in them: build/zen5-run works from wherever it is copied.
$(TOOLS:%=$(B)/%): $(B)/%: $(B)/tools/%.o $(B)/tools.a $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -Wl,--as-needed $(TLIBS)

# What the tools share: each takes the parts, and the libraries, that it uses.
$(B)/tools.a: $(TOOL_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(UNIT): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/tools.a $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -Wl,--as-needed $(TLIBS)

$(BENCH): $(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/checkasm/checkasm: $(patsubst %.c,$(B)/%.o,$(wildcard tests/checkasm/*.c)) $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Fuzz targets are ordinary programs over the files that they are given; with FUZZER=1 and clang they get libFuzzer.
$(FUZZ): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

fuzz-bins: $(FUZZ)

test-bins: $(UNIT) $(BENCH) $(if $(wildcard tests/checkasm/*.c),$(B)/tests/checkasm/checkasm) $(FUZZ)

# ---- packages ----

# $(call packages,LIST): installs those that are missing if it may, else says how.
define packages
	$(Q)command -v dpkg-query >/dev/null || exit 0; missing=; \
	for p in $(1); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	test -n "$$missing" || exit 0; \
	apt="apt-get install -y --no-install-recommends$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	if [ $$(id -u) = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else echo "missing packages; run: sudo $$apt" >&2; exit 1; fi; \
	echo "installing:$$missing"; \
	$$sudo $$apt >/dev/null 2>&1 || { $$sudo apt-get update >/dev/null && $$sudo $$apt >/dev/null; }
endef

build-packages:
	$(call packages,$(BUILD_PKGS))

check-packages:
	$(call packages,$(CHECK_PKGS))

# ---- demo ----

# A second make, since the first one looked for the libraries before they were there.
demo: build-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory all
	@echo
	$(B)/zen5-run $(MODEL) --temp 0 -p "Once upon a time, there was a kind little girl named Mia."
	@echo
	$(B)/zen5-run $(MODEL) --temp 0 -p "Question: What does a bee make? Answer:"

# ---- tests ----

check: check-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins B=build-asan SAN=address,undefined CFLAGS="-O1 -g"
	$(Q)$(MAKE) $(JOBS) --no-print-directory all test-bins B=build-clang CC=clang
	$(Q)$(MAKE) $(JOBS) --no-print-directory $(FUZZ_BUILD)
	$(Q)perl tests/run

# libFuzzer is clang's; the seeds are written by the same targets as ordinary programs.
FUZZ_BUILD := fuzz-bins B=build-fuzz CC=clang FUZZER=1 SAN=address,undefined CFLAGS="-O1 -g"
FUZZ_SECONDS ?= 600

fuzz: check-packages
	$(Q)$(MAKE) $(JOBS) --no-print-directory fuzz-bins
	$(Q)$(MAKE) $(JOBS) --no-print-directory $(FUZZ_BUILD)
	FUZZ_SECONDS=$(FUZZ_SECONDS) perl tests/fuzz.t

bench: $(B)/tests/checkasm/checkasm
	$(B)/tests/checkasm/checkasm --bench

# ---- static analysis ----

# Kernels, library and tools by clang's analyser. By gcc's where memory and descriptors have owners: in a kernel there is
# nothing for it to follow and minutes to spend. It loses what is stored through a caller's pointer and calls that a leak
# (clang, valgrind and the sanitizers look for leaks), and in the files left out it takes a failure that another file
# reports for success. Tests have the sanitizers.
CLANG_C := $(addprefix clang-analyse/,$(LIB_SRC) $(KERN_SRC) $(wildcard tools/*.c))
GCC_C   := $(filter-out %/grammar/schema_number.c %/grammar/schema_object.c %/model/load.c %/mxfp4.c %/chat-tokens.c, \
	$(addprefix gcc-analyse/,$(LIB_SRC) $(wildcard tools/*.c)))
ANALYSE := $(filter-out -W% -fPIC,$(Z5_CFLAGS)) -DZ5_ANALYSER

clang-analyse/kernels/avx2/%:   Z5_EXTRA := $(AVX2)
clang-analyse/kernels/avx512/%: Z5_EXTRA := $(AVX512)
$(CLANG_C): clang-analyse/%:
	$(Q)clang --analyze --analyzer-output text -Xclang -analyzer-werror $(ANALYSE) $(Z5_EXTRA) $*

$(GCC_C): gcc-analyse/%:
	$(Q)gcc -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-file-leak -Werror -O1 $(ANALYSE) -c -o /dev/null $*

# Casts of bytes to floats are how formats are read; that they are aligned is proved by the sanitizer of `make check`.
style:
	$(call packages,$(STYLE_PKGS))
	$(Q)perl tests/style
	$(Q)cppcheck --quiet $(JOBS) --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=invalidPointerCast \
		-Iinclude -Ilib -I. lib kernels tools tests Documentation
	$(Q)$(MAKE) $(JOBS) --no-print-directory -k $(CLANG_C) $(GCC_C)

# ---- installation ----

INSTALL := install
BINDIR  := $(DESTDIR)$(PREFIX)/bin
LIBDIR  := $(DESTDIR)$(PREFIX)/lib
MANDIR  := $(DESTDIR)$(PREFIX)/share/man

install: all
	$(Q)$(INSTALL) -d "$(BINDIR)" "$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include" "$(MANDIR)/man1"
	$(Q)$(INSTALL) -m 755 $(TOOLS:%=$(B)/%) "$(BINDIR)"
	$(Q)$(INSTALL) -m 644 include/zen5rt.h "$(DESTDIR)$(PREFIX)/include"
	$(Q)$(INSTALL) -m 644 $(B)/libzen5rt.a "$(LIBDIR)"
	$(Q)$(INSTALL) -m 755 $(B)/libzen5rt.so.$(VERSION) "$(LIBDIR)"
	$(Q)ln -sf libzen5rt.so.$(VERSION) "$(LIBDIR)/libzen5rt.so.$(SOVER)"
	$(Q)ln -sf libzen5rt.so.$(SOVER) "$(LIBDIR)/libzen5rt.so"
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' lib/zen5rt.pc.in >"$(LIBDIR)/pkgconfig/zen5rt.pc"
	$(Q)$(INSTALL) -m 644 Documentation/man/*.1 "$(MANDIR)/man1"

clean:
	rm -rf build build-asan build-clang build-fuzz

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all help demo check fuzz fuzz-bins bench style install test-bins clean build-packages check-packages $(CLANG_C) $(GCC_C)
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
