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
BUILD_PKGS := gcc make pkg-config libc6-dev libpcre2-dev libnuma-dev libjansson-dev
CHECK_PKGS := $(BUILD_PKGS) perl clang-14 libclang-rt-14-dev valgrind

LIBS  := $(shell $(PKG_CONFIG) --libs libpcre2-8 numa 2>/dev/null || echo -lpcre2-8 -lnuma) -lm -lpthread
TLIBS := -ljansson

# One answer on every machine: fma only where it is written (design: numerics).
Z5_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DZ5_VERSION='"$(VERSION)"' -Iinclude -Ilib -I. \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow=local -Wvla \
	-ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread
ifneq ($(SAN),)
Z5_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS   += -fsanitize=$(SAN)
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

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

all: $(B)/libzen5rt.a $(B)/libzen5rt.so $(TOOLS:%=$(B)/%)

help:
	@sed -n 's/^#: //p' Makefile

#: make                  library and tools into build/
#: make demo             installs what is missing, builds, runs zen5-run on the model that ships with the project
#: make check            installs what is missing, builds, runs every test; last line: N passed, N failed, N skipped
#: make install          PREFIX=/usr/local DESTDIR=
#: make bench            kernels and threads of this machine, in GB/s and GOPS
#: make style            cppcheck and clang's scan-build over the sources, where installed
#: make clean

# Kernels of a level see exactly the instructions that the level stands for.
$(B)/kernels/avx2/%.o:   Z5_EXTRA := -mavx2 -mfma -mf16c
$(B)/kernels/avx512/%.o: Z5_EXTRA := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
# The definition is plain C; -O3 may vectorise it but never reorder a sum.
$(B)/kernels/%.o: CFLAGS := $(subst -O2,-O3,$(CFLAGS))

$(B)/%.o: %.c Makefile
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
$(TOOLS:%=$(B)/%): $(B)/%: $(B)/tools/%.o $(TOOL_OBJ) $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(TLIBS)

$(UNIT): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BENCH): $(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/checkasm/checkasm: $(patsubst %.c,$(B)/%.o,$(wildcard tests/checkasm/*.c)) $(B)/libzen5rt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Fuzz targets are ordinary programs over the files that they are given; with FUZZER=1 and clang they get libFuzzer.
$(FUZZ): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libzen5rt.a
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

test-bins: $(UNIT) $(BENCH) $(if $(wildcard tests/checkasm/*.c),$(B)/tests/checkasm/checkasm) $(FUZZ)

clean:
	rm -rf build build-asan build-clang build-fuzz

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all help test-bins clean
.DELETE_ON_ERROR:
