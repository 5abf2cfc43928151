; The Multiboot header, and the first instructions: a stack, a look at the
; processor, and into C.
;
; Multiboot 1 leaves: EAX the magic, EBX the address of its information, paging
; off, interrupts off, flat segments, everything else undefined (specification
; 0.6.96, section 3.2).

bits 32

MULTIBOOT_HEADER   equ 0x1badb002
MULTIBOOT_FLAGS    equ 0x00000003      ; modules on pages, memory information
STACK_SIZE         equ 16384

section .multiboot align=4
    dd MULTIBOOT_HEADER
    dd MULTIBOOT_FLAGS
    dd -(MULTIBOOT_HEADER + MULTIBOOT_FLAGS)

section .text
global kernel_entry
extern kernel_main
kernel_entry:
    cli
    cld
    mov esp, boot_stack_top
    xor ebp, ebp                ; backtraces end here
    push ebx
    push eax
    call check_processor
    call note_time
    pop eax                     ; -mregparm=3: arguments in EAX, EDX, ECX
    pop edx
    call kernel_main
.stop:
    hlt
    jmp .stop

; The C code is built for an i686. On anything less: a line on COM1, and halt.
EFLAGS_ID   equ 0x00200000
CPUID_CMOV  equ 0x00008000
CPUID_TSC   equ 0x00000010
COM1        equ 0x3f8
COM1_STATUS equ COM1 + 5
CAN_SEND    equ 0x20

check_processor:
    pushfd
    pop eax
    mov ecx, eax
    xor eax, EFLAGS_ID          ; can it be changed? (SDM 1 20.1.1)
    push eax
    popfd
    pushfd
    pop eax
    xor eax, ecx
    test eax, EFLAGS_ID
    jz .too_old
    mov eax, 1
    cpuid
    test edx, CPUID_CMOV
    jz .too_old
    ret                         ; with CPUID's features in EDX
.too_old:
    mov esi, too_old_message
.next:
    lodsb
    test al, al
    jz .stop
    mov ah, al
    mov ecx, 100000             ; a UART that is not there must not hang this
.wait:
    mov dx, COM1_STATUS
    in al, dx
    test al, CAN_SEND
    loopz .wait
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp .next
.stop:
    hlt
    jmp .stop

; When boot began: `bench` counts from here (bench.h). The first moment at which it
; is known that the processor can tell, some 25 instructions after the entry.
note_time:
    test edx, CPUID_TSC
    jz .end
    rdtsc
    mov [boot_entry_time], eax
    mov [boot_entry_time + 4], edx
.end:
    ret

section .rodata
too_old_message:
    db 13, 10, "grove: this processor is older than an i686 (Pentium Pro): "
    db "it has no CMOV", 13, 10
    db "grove: the machine is halted", 13, 10, 0

; The first task's stack. The page below it is taken out of every space once
; paging is on.
section .bss align=4096 nobits
global boot_stack_guard
global boot_stack
global boot_stack_top
boot_stack_guard:
    resb 4096
boot_stack:
    resb STACK_SIZE
boot_stack_top:

global boot_entry_time
boot_entry_time:
    resq 1
