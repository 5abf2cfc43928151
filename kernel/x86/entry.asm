; Into the kernel and out again: one stub for each vector, the way back to ring
; 3, the switch from one kernel stack to another, and the copies to and from a
; program's memory.
;
; The layout of what is pushed is trap_frame_t (include/x86/trap_frame.h). The
; kernel's C is built with -mregparm=3: the first three arguments come in EAX, EDX
; and ECX.

bits 32

KERNEL_DATA equ 0x10
PAGE_FAULT  equ 14

; The processor may have SMAP: then `clac` goes where these three bytes are, and
; `stac` likewise. kernel/x86/trap.c patches them before paging is on.
%macro SMAP_SITE 1
    section .smap_sites
    dd %%site, %1
    section .text
%%site:
    db 0x0f, 0x1f, 0x00                 ; nop dword [eax]
%endmacro

OPCODE_CLAC equ 0xca
OPCODE_STAC equ 0xcb

section .smap_sites progbits alloc noexec nowrite align=4
global smap_sites
smap_sites:

section .text

; ---- from the stub to C and back

%macro SAVE_REGISTERS 0
    push es
    push ds
    push eax
    push ebp
    push edi
    push esi
    push edx
    push ecx
    push ebx
    cld                                 ; ring 3 may have left DF set,
    SMAP_SITE OPCODE_CLAC                      ; and AC, which would undo SMAP
    mov eax, KERNEL_DATA
    mov ds, eax
    mov es, eax
%endmacro

extern trap_dispatch
trap_common:
    SAVE_REGISTERS
    mov ebp, esp                        ; a frame pointer for backtraces
    mov eax, esp
    call trap_dispatch
; The way back. Two instructions here can fault on what a program left in its
; segment registers: trap.c knows them by these names.
global trap_restore
trap_restore:
    pop ebx
    pop ecx
    pop edx
    pop esi
    pop edi
    pop ebp
    pop eax
global trap_restore_ds
trap_restore_ds:
    pop ds
global trap_restore_es
trap_restore_es:
    pop es
    add esp, 8                          ; vector and error code
global trap_restore_iret
trap_restore_iret:
    iret

; The system call: no search for a handler.
extern trap_system_call
system_call:
    push dword 0
    push dword 0x80
    SAVE_REGISTERS
    mov eax, esp
    call [trap_system_call]
    jmp trap_restore

; The page fault: no search either.
extern trap_handlers
extern trap_refused
page_fault_entry:
    push dword PAGE_FAULT
    SAVE_REGISTERS
    mov ebp, esp
    mov eax, esp
    call [trap_handlers + 4 * PAGE_FAULT]
    test al, al
    jnz trap_restore
    mov eax, esp
    call trap_refused
    jmp trap_restore

; void trap_return(trap_frame_t *frame)
global trap_return
trap_return:
    mov esp, eax
    jmp trap_restore

; ---- the stubs; eight vectors push an error code of their own

%macro STUB 1
stub_%1:
%if %1 = 8 || (%1 >= 10 && %1 <= 14) || %1 = 17 || %1 = 21 || %1 = 29 || %1 = 30
%else
    push dword 0
%endif
    push dword %1
    jmp trap_common
%endmacro

%assign vector 0
%rep 48
%if vector != PAGE_FAULT
    STUB vector
%endif
%assign vector vector + 1
%endrep

section .rodata
global trap_stubs
trap_stubs:
%assign vector 0
%rep 48
%if vector = PAGE_FAULT
    dd page_fault_entry
%else
    dd stub_%+vector
%endif
%assign vector vector + 1
%endrep
global trap_system_call_stub
trap_system_call_stub:
    dd system_call
global trap_spurious_stub
trap_spurious_stub:
    dd spurious

section .text

; An interrupt that firmware may have left behind: nobody waits for it.
spurious:
    iret

; The double fault arrives by a task switch, on a stack of its own.
global double_fault_entry
extern trap_double_fault
double_fault_entry:
    cld
    SMAP_SITE OPCODE_CLAC
    call trap_double_fault

; ---- stacks

; void trap_switch(size_t *save_stack, size_t load_stack)
global trap_switch
trap_switch:
    push ebp
    push ebx
    push esi
    push edi
    mov [eax], esp
    mov esp, edx
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret

; ---- a program's memory
;
; size_t usercopy_in(void *to, size_t from, size_t length)
; size_t usercopy_out(size_t to, const void *from, size_t length)
; => bytes not copied. A fault that cannot be resolved goes on at *_fixup.

global usercopy_start
usercopy_start:
global usercopy_bytes
usercopy_bytes:
    push esi
    push edi
    mov edi, eax
    mov esi, edx
    mov edx, ecx
    SMAP_SITE OPCODE_STAC
    shr ecx, 2
    rep movsd
    mov ecx, edx
    and ecx, 3
    rep movsb
    xor eax, eax
    jmp usercopy_out

; size_t usercopy_clear(size_t to, size_t length)
global usercopy_clear
usercopy_clear:
    push esi
    push edi
    mov edi, eax
    mov ecx, edx
    xor eax, eax
    SMAP_SITE OPCODE_STAC
    rep stosb
    jmp usercopy_out

; size_t usercopy_string(char *to, size_t from, size_t size)
; => the length, or `size` when there was no NUL in it, or -1
global usercopy_string
usercopy_string:
    push esi
    push edi
    mov edi, eax
    mov esi, edx
    mov edx, ecx
    SMAP_SITE OPCODE_STAC
.next:
    test ecx, ecx
    jz .end
    lodsb
    stosb
    dec ecx
    test al, al
    jnz .next
    inc ecx
.end:
    mov eax, edx
    sub eax, ecx
    jmp usercopy_out

global usercopy_fixup
usercopy_fixup:
    mov eax, -1
usercopy_out:
    SMAP_SITE OPCODE_CLAC
    pop edi
    pop esi
    ret
global usercopy_end
usercopy_end:

; ---- segment registers of ring 3

; void trap_load_segments(uint16_t fs, uint16_t gs)
; A selector whose descriptor is gone becomes the null selector.
global trap_load_segments
global segments_fs
global segments_gs
trap_load_segments:
    movzx eax, ax
segments_fs:
    mov fs, eax
    movzx eax, dx
segments_gs:
    mov gs, eax
    ret

section .smap_sites
global smap_sites_end
smap_sites_end:
