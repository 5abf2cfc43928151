# Grove: kernel, ISO, tests and benchmarks. `make help` lists the targets.

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG  ?= clang
NM     ?= nm
NASM   ?= nasm
QEMU   ?= qemu-system-i386
# Appended to every compilation; checkers at each entry and poisoned memory, or neither (0);
# compilations and tests at a time; 1: show whole commands.
CFLAGS ?=
DEBUG  ?= 1
JOBS   ?= $(shell nproc)
V      ?=
# The machine of run and debug. The one test to run. The groups of mmbench, of bench-heap
# the traces (none: all). Seconds of fuzzing. 1: a kernel that tells what it allocates
# (tools/record-heap).
MEMORY ?= 64M
CPU    ?= max
PAGING ?=
APPEND ?=
T      ?=
FUZZ   ?= 600
RECORD ?=
GROUPS ?= cal sys mmap fault mprotect brk vma
TRACES ?=
export CC QEMU JOBS

B := build
MODE := $(if $(filter 0,$(DEBUG)),release,debug)
O := $(B)/$(MODE)

KERNEL_SRC := $(sort $(wildcard boot/*.asm boot/*.c kernel/*.c kernel/*.asm kernel/lib/*.c \
              kernel/x86/*.c kernel/x86/*.asm kernel/linux/*.c mm/*.c mm/x86/*.c \
              tests/*.c tests/kernel/*.c tests/bench/kernel_bench*.c \
              $(if $(RECORD),tests/bench/kernel_record.c)))
HOST_KERNEL_SRC := $(wildcard kernel/lib/tree.c kernel/lib/printk.c boot/*.c)
HOST_TESTS := $(filter-out test_main,$(patsubst tests/host/%.c,%,$(wildcard tests/host/test_*.c)))
HOST_SRC   := $(wildcard mm/*.c mm/x86/*.c tests/*.c) $(HOST_KERNEL_SRC) \
              $(filter-out $(HOST_TESTS:%=tests/host/%.c),$(wildcard tests/host/*.c))
USER       := $(patsubst %.c,$(B)/user/%,$(notdir $(wildcard tests/user/*.c tests/bench/mmbench.c)))
PRELOAD_SRC := $(wildcard tests/preload/*.c mm/kheap*.c mm/gaptree*.c) \
               tests/host/reserved_segment.c kernel/lib/printk.c
PRELOAD_USERS := $(patsubst tests/preload/programs/%.c,%,$(wildcard tests/preload/programs/*.c))
FUZZERS    := $(B)/fuzz/heap $(B)/fuzz/debug $(B)/fuzz/voids $(B)/fuzz/space
FUZZ_SPACE := tests/fuzz/space.c $(filter-out tests/%.c tests/host/test_main.c,$(HOST_SRC)) \
              $(filter-out tests/host/test_%,$(wildcard tests/host/*.c))
FUZZ_SRC   := $(filter-out $(FUZZ_SPACE),$(wildcard tests/fuzz/*.c)) \
              $(wildcard mm/kheap*.c mm/gaptree*.c) tests/host/fake_segment.c \
              kernel/lib/printk.c
TOUR       := $(B)/user/tour $(B)/user/wild

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
# Code without a C library: no calls to it, no tables that nobody reads.
BARE     := -m32 -march=i686 -mtune=generic -O2 -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
            -fcf-protection=none -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
BARELINK := -static -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack
DEBUGDEF := $(if $(filter debug,$(MODE)),-DDEBUG)

# libgcc is not linked: it does not take its arguments in registers.
KERNEL_FLAGS := $(BARE) -std=c11 -g -fno-omit-frame-pointer -mregparm=3 -mgeneral-regs-only \
                $(if $(DEBUGDEF),-fno-optimize-sibling-calls,-momit-leaf-frame-pointer) \
                -fno-strict-aliasing $(WARNINGS) $(DEBUGDEF) -Iinclude -Itests $(CFLAGS)
NASM_FLAGS   := -felf32 -g -F dwarf -w+error -Iinclude/
LINK_FLAGS   := -m elf_i386 -T linker.ld -z max-page-size=4096 -z noexecstack --build-id=none \
                $(if $(RECORD),$(addprefix --wrap=,kmalloc kcalloc kmemalign krealloc kfree))
# A 64-bit process cannot have the kernel window where it is on i386 (layout.h).
BIAS         := -DKERNEL_BIAS=0x200000000000
HOST_FLAGS   := -std=c11 -D_GNU_SOURCE -g -fno-omit-frame-pointer -fno-strict-aliasing $(WARNINGS) \
                $(DEBUGDEF) -Itests/host/include -Iinclude -Itests -Itests/host $(CFLAGS)
HOST64_FLAGS := -m64 -O1 $(BIAS) -fsanitize=address,undefined -fno-sanitize-recover=all $(HOST_FLAGS)
HOST32_FLAGS := -m32 -O2 -fsanitize=undefined -fno-sanitize-recover=all $(HOST_FLAGS) \
                -D_FILE_OFFSET_BITS=64
# Nothing is inlined: each branch counts once, as it is written.
COVER_FLAGS  := -O0 --coverage -Dalways_inline=unused $(HOST_FLAGS)
USER_FLAGS   := $(BARE) -std=gnu11 -g -fno-builtin -Wall -Wextra -Werror -Itests/user $(CFLAGS)
GLIBC_FLAGS  := -m32 -static -O2 -std=gnu11 -g -Wall -Wextra -Werror -Itests/user $(CFLAGS)
$(B)/user/glibc_nested: GLIBC_FLAGS += -Wl,-z,execstack
BENCH_FLAGS  := $(BARE) -std=gnu11 -fno-builtin -mgeneral-regs-only -Wall -Wextra $(CFLAGS)

# Says what is made instead of the whole command, unless V=1.
say = $(if $(V),,@printf '  %-5s %s\n' $1 $@;)
DEPEND = -MMD -MP -MF $@.d -MT $@
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

## the kernel, build/grove.elf (the default)
all: $(B)/grove.elf

## the bootable ISO, build/grove.iso
iso: $(B)/grove.iso

## boot the ISO here: MEMORY=64M CPU=max PAGING=2level|pae APPEND='words'
run:

## boot the ISO stopped, with gdb attached and a breakpoint at kernel_main
debug: HOW = --gdb

## boot the ISO stopped and print the port for a gdb of your own
gdb-port: HOW = --gdb-port

run debug gdb-port: deps
	@$(SUBMAKE) iso
	@tools/run --memory '$(MEMORY)' --cpu '$(CPU)' --paging '$(PAGING)' \
	    --append '$(APPEND)' $(HOW)

## all tests; one of them: T=name
test: deps
	@$(SUBMAKE) tests
	@tools/test $(T)

# Everything that the tests run.
tests: $(B)/grove.elf $(B)/grove.iso $(USER) \
       $(HOST_TESTS:%=$(B)/host64/%) $(HOST_TESTS:%=$(B)/host32/%) \
       preload $(PRELOAD_USERS:%=$(B)/preload64/%) $(PRELOAD_USERS:%=$(B)/preload32/%) \
       $(FUZZERS)

## what memory operations cost in instructions, in a release build: GROUPS='sys fault'
bench: deps
	@$(SUBMAKE) DEBUG=0 $(B)/release/grove.elf $(B)/user/mmbench
	@tools/bench --kernel $(B)/release/grove.elf $(GROUPS)
	@tools/bench-pages

## the heap on real traces beside glibc, jemalloc, mimalloc, tcmalloc: time and memory
bench-heap: deps
	@tools/deps bench-heap || echo 'bench-heap: goes on; what is not there is NA'
	@tools/bench-heap $(TRACES)

## break a copy, a line at a time: each time a test must go red; one of them: T=name
mutants: deps
	@tools/mutants $(T)

## the long campaign, hours: SOAK='--seed N --rounds N --divide N host kernel user memory'
soak: deps
	@$(SUBMAKE) tests
	@tools/soak $(SOAK)

## libFuzzer's calls to the heap and to spaces beside models, fresh programs beside Linux: FUZZ='seconds'
fuzz: deps
	@$(SUBMAKE) fuzzers $(B)/grove.elf $(B)/user/random_memory
	@tools/fuzz $(FUZZ)

fuzzers: $(FUZZERS)

## lines and branches of mm/ that the host tests reach, 64- and 32-bit
coverage: deps
	@$(SUBMAKE) cover
	@tools/coverage

cover: $(HOST_TESTS:%=$(B)/coverage64/%) $(HOST_TESTS:%=$(B)/coverage32/%)

## layers, style, headers that compile alone
check:
	@status=0; tools/check-layers || status=1; \
	CFLAGS='$(KERNEL_FLAGS)' HOST_CFLAGS='$(HOST_FLAGS)' tools/check-style || status=1; \
	exit $$status

## the heap as a malloc for Linux programs: build/libgrove-malloc.so, libgrove-malloc32.so
preload: $(B)/libgrove-malloc.so $(B)/libgrove-malloc32.so

## install what is missing to build and test
deps:
	@tools/deps

## remove everything that was built
clean:
	rm -rf $(B)

## this list
help:
	@awk '/^## / { what = substr($$0, 4); next } \
	      /^[a-z-]+:/ && what { sub(/:.*/, ""); printf "  make %-10s %s\n", $$0, what } \
	      { what = "" }' Makefile

.PHONY: all iso run debug gdb-port test tests bench bench-heap mutants soak coverage cover \
        check preload fuzz fuzzers deps clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

# --- Flags: a file of them changes when they do, and what was compiled with them follows.
define flags_file
$1: FORCE
	@mkdir -p $$(@D)
	@echo '$2' | cmp -s - $$@ || echo '$2' >$$@
endef
$(eval $(call flags_file,$(O)/flags,$(CC) $(KERNEL_FLAGS) $(NASM) $(NASM_FLAGS) $(LINK_FLAGS)))
$(eval $(call flags_file,$(B)/user/.flags,$(CC) $(USER_FLAGS) $(GLIBC_FLAGS) $(BENCH_FLAGS)))
$(eval $(call flags_file,$(B)/which,$(O)))

# --- Kernel: linked twice, the second time with a table of its own symbols.
KERNEL_OBJ := $(KERNEL_SRC:%=$(O)/%.o)

$(O)/%.c.o: %.c $(O)/flags Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(KERNEL_FLAGS) $(DEPEND) -c $< -o $@

$(O)/%.asm.o: %.asm $(O)/flags Makefile
	@mkdir -p $(@D)
	$(call say,NASM)$(NASM) $(NASM_FLAGS) -MD $@.d -MP -MT $@ $< -o $@

$(O)/symbols1.s: tools/symbols
	@mkdir -p $(@D)
	@tools/symbols </dev/null >$@

$(O)/symbols2.s: $(O)/grove1.elf tools/symbols
	@$(NM) -n $< | tools/symbols >$@

$(O)/symbols%.o: $(O)/symbols%.s
	$(call say,CC)$(CC) -m32 -c $< -o $@

# A source that went away leaves the list, so the list is a prerequisite too.
$(eval $(call flags_file,$(O)/objects,$(KERNEL_OBJ)))

$(O)/grove%.elf: $(KERNEL_OBJ) $(O)/symbols%.o $(O)/objects linker.ld
	$(call say,LD)$(LD) $(LINK_FLAGS) -Map=$@.map -o $@ $(filter %.o,$^)

$(O)/grove.elf: $(O)/grove1.elf $(O)/grove2.elf
	@for pass in 1 2; do $(NM) -n $(O)/grove$$pass.elf | grep -i ' t ' >$(O)/text$$pass; done
	@cmp $(O)/text1 $(O)/text2 || { echo 'the symbol table moved the text: see linker.ld'; exit 1; }
	@cp $(O)/grove2.elf $@

$(B)/grove.elf: $(O)/grove.elf $(B)/which
	@cp $< $@

$(B)/grove.iso: $(B)/grove.elf $(TOUR) boot/grub.cfg README.md tools/make-iso
	$(call say,ISO)tools/make-iso $@ $(B)/grove.elf $(TOUR)

# --- User programs: tests/user/NAME.c is build/user/NAME; glibc_NAME.c has a C library.
$(B)/user/%: tests/user/%.c $(B)/user/.flags Makefile
	$(call say,CC)$(CC) $(USER_FLAGS) $(DEPEND) $(BARELINK) $< -lgcc -o $@

$(B)/user/glibc_%: tests/user/glibc_%.c $(B)/user/.flags Makefile
	$(call say,CC)$(CC) $(GLIBC_FLAGS) $(DEPEND) $< -o $@

$(B)/user/%: tests/bench/%.c $(B)/user/.flags Makefile
	$(call say,CC)$(CC) $(BENCH_FLAGS) $(DEPEND) $(BARELINK) $< -o $@

# --- Host tests: one binary each, from an archive of everything that a test may need. A test
# with a file tests/host/test_NAME.flags has all of it compiled with those flags as well.
define host_build  # DIRECTORY FLAGS
$(call flags_file,$1/flags,$(CC) $2)
$(call flags_file,$1/objects,$(HOST_SRC))

$1/%.c.o: %.c $1/flags Makefile
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC) $2 $$(DEPEND) -c $$< -o $$@

$1/all.a: $(HOST_SRC:%=$1/%.o) $1/objects
	@rm -f $$@
	@$$(AR) rcs $$@ $$(filter %.o,$$^)
DEPENDENCIES += $(HOST_SRC:%=$1/%.o.d)
endef

define host_test  # BINARY NAME BUILD_DIRECTORY FLAGS
$1: $3/tests/host/$2.c.o $3/all.a
	$$(call say,LD)$$(CC) $4 $$^ -o $$@
DEPENDENCIES += $3/tests/host/$2.c.o.d
endef

define host_tests  # DIRECTORY FLAGS
$(call host_build,$1,$2)
$(foreach test,$(HOST_TESTS),$(if $(wildcard tests/host/$(test).flags), \
    $(eval $(call host_build,$1/for_$(test),$2 $(file <tests/host/$(test).flags))) \
    $(eval $(call host_test,$1/$(test),$(test),$1/for_$(test),$2)), \
    $(eval $(call host_test,$1/$(test),$(test),$1,$2))))
endef
$(eval $(call host_tests,$(B)/host64,$(HOST64_FLAGS)))
$(eval $(call host_tests,$(B)/host32,$(HOST32_FLAGS)))
$(eval $(call host_tests,$(B)/coverage64,-m64 $(BIAS) $(COVER_FLAGS)))
$(eval $(call host_tests,$(B)/coverage32,-m32 -D_FILE_OFFSET_BITS=64 $(COVER_FLAGS)))

# --- The heap as a program's malloc. Bound at load and started first: ld.so calls it early.
PRELOAD_FLAGS := -O2 -fno-builtin -fPIC -fvisibility=hidden $(HOST_FLAGS)

define preload  # LIBRARY DIRECTORY FLAGS
$(call flags_file,$2/flags,$(CC) $3 $(PRELOAD_FLAGS))
$(call flags_file,$2/objects,$(PRELOAD_SRC))

$2/%.c.o: %.c $2/flags Makefile
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC) $3 $(PRELOAD_FLAGS) $$(DEPEND) -c $$< -o $$@

$1: $(PRELOAD_SRC:%=$2/%.o) $2/objects
	$$(call say,LD)$$(CC) $3 -shared -Wl,-z,defs,-z,now,-z,initfirst $$(filter %.o,$$^) -o $$@

$(PRELOAD_USERS:%=$2/%): $2/%: tests/preload/programs/%.c $2/flags Makefile
	$$(call say,CC)$$(CC) $3 -O2 -std=gnu11 -g -fno-builtin -pthread -Wall -Wextra -Werror $$< -o $$@
DEPENDENCIES += $(PRELOAD_SRC:%=$2/%.o.d)
endef
$(eval $(call preload,$(B)/libgrove-malloc.so,$(B)/preload64,-m64))
$(eval $(call preload,$(B)/libgrove-malloc32.so,$(B)/preload32,-m32 -D_FILE_OFFSET_BITS=64))

# --- The fuzzers, by clang. A model is not what new inputs are to reach, and words are not
# compared with inputs: there are none to be guessed.
FUZZ_FLAGS := -O2 -fsanitize=address,undefined -fno-sanitize-recover=all \
              $(filter-out -DDEBUG,$(HOST_FLAGS))
FUZZ_REACH := -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp

define fuzzer  # BINARY DIRECTORY FLAGS SOURCES TARGET
$(call flags_file,$2/flags,$(CLANG) $(FUZZ_FLAGS) $(FUZZ_REACH) $3)
$(call flags_file,$2/objects,$4)

$2/%.c.o: %.c $2/flags Makefile
	@mkdir -p $$(@D)
	$$(call say,CLANG)$$(CLANG) $(FUZZ_FLAGS) $3 $$(DEPEND) -c $$< -o $$@ \
	    $$(if $$(filter mm/% $5,$$<),$(FUZZ_REACH))

$1: $(4:%=$2/%.o) $2/objects
	$$(call say,LD)$$(CLANG) -fsanitize=fuzzer,address,undefined $$(filter %.o,$$^) -o $$@
DEPENDENCIES += $(4:%=$2/%.o.d)
endef
$(eval $(call fuzzer,$(B)/fuzz/heap,$(B)/fuzz/heap.build,,$(FUZZ_SRC),tests/fuzz/heap.c))
$(eval $(call fuzzer,$(B)/fuzz/debug,$(B)/fuzz/debug.build,-DDEBUG,$(FUZZ_SRC),tests/fuzz/heap.c))
$(eval $(call fuzzer,$(B)/fuzz/voids,$(B)/fuzz/voids.build,-DKHEAP_NO_VOID=0,$(FUZZ_SRC), \
    tests/fuzz/heap.c))
$(eval $(call fuzzer,$(B)/fuzz/space,$(B)/fuzz/space.build,-DDEBUG $(BIAS),$(FUZZ_SPACE), \
    tests/fuzz/space.c))

-include $(KERNEL_OBJ:%=%.d) $(USER:%=%.d) $(DEPENDENCIES)
