/*
 * COM1 by polling, QEMU's debug ports, and the ways to stop the machine.
 */
#include <kernel/console.h>
#include <kernel/errno.h>
#include <kernel/printk.h>
#include <x86/cpu.h>
#include <x86/features.h>

enum {
    COM1 = 0x3f8,
    UART_DATA = 0,
    UART_INTERRUPTS = 1,
    UART_FIFO = 2,
    UART_LINE = 3,
    UART_MODEM = 4,
    UART_STATUS = 5,
    STATUS_RECEIVED = 0x01,
    STATUS_CAN_SEND = 0x20,
    SEND_TRIES = 100000,        /* about 0.1 s on a real bus; a byte takes 87 us */
    DEBUG_PORT = 0xe9,
    STATUS_PORT = 0xea,
    EXIT_PORT = 0xf4,
    ACPI_CONTROL = 0x604,       /* PM1a control of QEMU's machines */
    ACPI_SLEEP = 0x2000,
    CTRL_C = 3,
    BACKSPACE = 8,
    DELETE = 127,
};

static bool may_exit;

/* A port without a UART reads as all ones. */
static bool has_uart;

static void put(char byte)
{
    if (!has_uart)
        return;
    /* A UART that never becomes ready must not stop the kernel. */
    for (unsigned i = 0; i < SEND_TRIES; i++) {
        if (cpu_in8(COM1 + UART_STATUS) & STATUS_CAN_SEND)
            break;
    }
    cpu_out8(COM1 + UART_DATA, (uint8_t)byte);
}

void console_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            put('\r');
        put(text[i]);
    }
}

void console_init(void)
{
    cpu_out8(COM1 + UART_INTERRUPTS, 0);
    cpu_out8(COM1 + UART_LINE, 0x80);       /* the divisor: 115,200 / 1 */
    cpu_out8(COM1 + UART_DATA, 1);
    cpu_out8(COM1 + UART_INTERRUPTS, 0);
    cpu_out8(COM1 + UART_LINE, 0x03);       /* 8 bits, no parity, one stop bit */
    cpu_out8(COM1 + UART_FIFO, 0xc7);
    cpu_out8(COM1 + UART_MODEM, 0x03);
    has_uart = cpu_in8(COM1 + UART_STATUS) != 0xff;
    printk_set_output(console_write);
}

int console_read(void)
{
    if (!has_uart || (cpu_in8(COM1 + UART_STATUS) & STATUS_RECEIVED) == 0)
        return -1;
    return cpu_in8(COM1 + UART_DATA);
}

int console_read_line(char *buffer, size_t size)
{
    size_t length = 0;

    for (;;) {
        int byte = console_read();

        if (byte < 0)
            continue;
        if (byte == '\r' || byte == '\n') {
            console_write("\n", 1);
            buffer[length] = '\0';
            return (int)length;
        }
        if (byte == CTRL_C) {
            console_write("^C\n", 3);
            return -EINTR;
        }
        if ((byte == BACKSPACE || byte == DELETE) && length > 0) {
            length--;
            console_write("\b \b", 3);
        } else if (byte >= ' ' && byte < DELETE && length + 1 < size) {
            buffer[length++] = (char)byte;
            console_write(&buffer[length - 1], 1);
        }
    }
}

void debug_port_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        cpu_out8(DEBUG_PORT, (uint8_t)text[i]);
}

void debug_port_status(uint8_t status)
{
    cpu_out8(STATUS_PORT, status);
}

void machine_set_exit(bool allowed)
{
    may_exit = allowed;
}

static _Noreturn void halt(void)
{
    cpu_disable_interrupts();
    for (;;)
        cpu_halt();
}

_Noreturn void machine_stop(machine_end_t how)
{
    if (may_exit)
        cpu_out32(EXIT_PORT, how);
    printk("grove: the machine is halted\n");
    halt();
}

_Noreturn void machine_power_off(void)
{
    printk("grove: the end; it is safe to turn the machine off\n");
    if (cpu_features.hypervisor)        /* that port may be anything elsewhere */
        cpu_out16(ACPI_CONTROL, ACPI_SLEEP);
    halt();
}
