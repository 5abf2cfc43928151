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

hbreak kernel_main
continue
