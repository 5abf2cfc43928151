# grove.gdb: what `make debug` does once gdb is connected to QEMU.
set pagination off
set confirm off
set print pretty on
set disassembly-flavor intel

define registers
    info registers eax ebx ecx edx esi edi ebp esp eip eflags cr0 cr2 cr3 cr4
end
document registers
The registers that matter in a kernel: cr2 is the last address that faulted.
end

define where-from
    x/3i $eip
    backtrace 20
end
document where-from
The next instructions and the callers.
end

# The tables of a program lie where only physical addresses reach: QEMU's stub has a mode for it.
python
class Spaces(gdb.Command):
    """What a program's space has, in the words of the kernel's monitor."""

    def __init__(self, name, show, text):
        self.__doc__ = "%s [PID]: %s; without PID, of the current task" % (name, text)
        super().__init__(name, gdb.COMMAND_DATA)
        self.show = show

    def invoke(self, argument, from_tty):
        task = find_task(int(argument)) if argument.strip() else gdb.parse_and_eval("task_current")
        if task is None:
            raise gdb.GdbError("there is no task with the number " + argument)
        if int(task["mspace"]) == 0:
            raise gdb.GdbError("the task has no space of its own: it is the kernel, or has ended")
        gdb.write("".join(line + "\n" for line in self.show(task["mspace"].dereference())))

def find_task(pid):
    first = task = gdb.parse_and_eval("task_current")
    while int(task["pid"]) != pid:
        task = task["next"]
        if task == first:
            return None
    return task

def flag(name):
    return {"READ": 1, "WRITE": 2, "EXEC": 4, "SHARED": 8, "DEAD": 0x4000}[name]

# The areas in order: a balanced tree is no deeper than Python's stack.
def areas(mspace):
    kind = gdb.lookup_type("vma_t").pointer()
    def below(node):
        if int(node) != 0:
            yield from below(node["left"])
            yield node.cast(kind).dereference()
            yield from below(node["right"])
    return below(mspace["tree"]["root"])

def name_of(vma):
    kind = vma["ops"]["name"].string()
    if kind == "anon":
        return ""
    if kind == "phys":
        return "phys=%08x" % int(vma["offset"])
    if kind == "file":
        return vma["ino"]["name"].string().replace("\n", "\\012")
    return "[" + kind + "]"

def maps(mspace):
    for vma in areas(mspace):
        flags, base = int(vma["flags"]), int(vma["node"]["value"])
        def letter(right, yes, no):
            return yes if flags & flag(right) else no
        line = "%08x-%08x %s%s%s%s %08x 00:00 0 " % (
            base, base + int(vma["length"]), letter("READ", "r", "-"), letter("WRITE", "w", "-"),
            letter("EXEC", "x", "-"), letter("SHARED", "s", "p"), int(vma["offset"]))
        name = name_of(vma) + letter("DEAD", " (dead)", "")
        yield line.ljust(49) + name if name else line

class Tables:
    """The page tables of a space, read as physical memory."""

    def __init__(self, directory):
        form = gdb.parse_and_eval("paging_format").dereference()
        self.levels, self.bytes = int(form["levels"]), int(form["entry_bytes"])
        self.shift = [int(form["shift"][level]) for level in range(self.levels)]
        self.bits = [int(form["index_bits"][level]) for level in range(self.levels)]
        self.mask = int(form["frame_mask"])
        self.directory, self.read = directory, {}

    def table(self, page):
        if page not in self.read:
            self.mode(1)
            try:
                self.read[page] = bytes(gdb.selected_inferior().read_memory(page, 4096))
            finally:
                self.mode(0)
        return self.read[page]

    def mode(self, on):
        answer = gdb.execute("maintenance packet Qqemu.PhyMemMode:%d" % on, to_string=True)
        if "OK" not in answer:
            raise gdb.GdbError("this stub cannot read physical memory: it is not QEMU's")

    def entry(self, vaddr):
        page = self.directory
        for level in range(self.levels - 1, -1, -1):
            at = (vaddr >> self.shift[level] & (1 << self.bits[level]) - 1) * self.bytes
            entry = int.from_bytes(self.table(page)[at:at + self.bytes], "little")
            if level == 0 or not entry & 1:
                return entry if level == 0 else 0
            page = entry & self.mask
        return 0

def rights(entry):
    if not entry & 1:
        return "----"
    return "r" + ("w" if entry & 2 else "-") + ("-" if entry >> 63 else "x") + \
           ("u" if entry & 4 else "-")

PRESENT, OBJECT, HELD, ACCESSED_DIRTY = 1, 0x400, 0x800, 0x60

def pages(mspace):
    tables = Tables(int(mspace["directory"]))
    zero = int(gdb.parse_and_eval("kMMU.zero_page"))
    run = None
    for vma in areas(mspace):
        base = int(vma["node"]["value"])
        for vaddr in range(base, base + int(vma["length"]), 4096):
            entry = tables.entry(vaddr)
            if not entry & (PRESENT | HELD):
                continue
            if vma["ops"]["foreign"]:
                kind = "foreign"
            elif not entry & OBJECT:
                kind = "private"
            else:
                kind = "zero" if entry & tables.mask == zero else "shared"
            same = (rights(entry), entry & 0xfff & ~ACCESSED_DIRTY, kind)
            if run and run[1] == vaddr and run[2] == same:
                run[1] += 4096
                continue
            if run:
                yield run_line(run)
            run = [vaddr, vaddr + 4096, same]
    if run:
        yield run_line(run)

def run_line(run):
    start, end, (bits, _, kind) = run
    return "%08x-%08x %s %-7s %7d" % (start, end, bits, kind, (end - start) // 4096)

Spaces("maps", maps, "the areas of a program's space")
Spaces("pages", pages, "what of it is in memory, run by run")
end

hbreak kernel_main
continue
