/*
 * What boot loaders say in words: modules and their strings, the command line, the
 * loader's name.
 */
#include <fake_multiboot.h>

#include <string.h>

/* ---- modules */

TEST(boot_info_modules_are_noted_and_reserved)
{
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(BOOT_MODULES_MAX, 0x200123, 0x1077, multiboot_text("tour --slow  a b"));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.module_count, BOOT_MODULES_MAX);
    for (uint32_t i = 0; i < BOOT_MODULES_MAX; i++) {
        CHECK_EQ(boot_info.module[i].base, 0x200123 + i * 0x1077);
        CHECK_EQ(boot_info.module[i].length, 0x1077);
        CHECK_STR(boot_info.module[i].string, "tour --slow  a b");
        CHECK(multiboot_is_reserved(0x200123 + i * 0x1077, 0x200123 + (i + 1) * 0x1077,
                                    OWNER_BOOT));
    }
    CHECK(multiboot_is_reserved(0, PAGE_SIZE, OWNER_FIRMWARE));
    CHECK(multiboot_is_reserved(0x100000, 0x120000, OWNER_IMAGE));
    /* What was copied lives on when the loader's memory does not. */
    memset(multiboot_arena, 0, ARENA_SIZE);
    CHECK_STR(boot_info.module[15].string, "tour --slow  a b");
}

TEST(boot_info_modules_that_cannot_be)
{
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(BOOT_MODULES_MAX + 1, 0x200000, 0x1000, multiboot_text("m"));
    CHECK(strstr(multiboot_fill(), "16") != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(0xffffffff % 1000 + 5, 0x200000, 0x1000, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);      /* it ends before it begins */
    multiboot_modules(1, 0x200000, (uint32_t)-4096, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);      /* over 3 GiB */
    multiboot_modules(1, 0xbffff000, 0x1001, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0xbffff000, 0x1000, multiboot_text("m"));
    CHECK_OK(multiboot_fill());
    multiboot_begin_with_map(HAS_MODULES);      /* over the image: end, start, all, inside */
    multiboot_modules(1, 0xff000, 0x1001, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x11ffff, 0x1000, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0xf0000, 0x100000, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x110000, 0x10, multiboot_text("m"));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);      /* right behind it is where loaders put them */
    multiboot_modules(1, 0x120000, 0x1000, multiboot_text("m"));
    CHECK_OK(multiboot_fill());
    multiboot_begin_with_map(0);                /* without the flag there are none */
    multiboot_modules(3, 0x200000, 0x1000, multiboot_text("m"));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.module_count, 0);
}

TEST(boot_info_module_without_a_string)
{
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0x1000, 0);
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.module[0].string, "");
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0, multiboot_text("empty"));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.module[0].length, 0);
}

TEST(boot_info_strings_too_long)
{
    /* One string: 4,095 characters fit. */
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0x1000, multiboot_long_text(BOOT_STRING_MAX - 1));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(strlen(boot_info.module[0].string), BOOT_STRING_MAX - 1);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0x1000, multiboot_long_text(BOOT_STRING_MAX));
    CHECK(multiboot_fill() != NULL);
    /* All together: 8,192 bytes. */
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(2, 0x200000, 0x1000, multiboot_long_text(BOOT_STRING_MAX - 1));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.strings_used, BOOT_STRINGS_MAX);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(3, 0x200000, 0x1000, multiboot_long_text(BOOT_STRING_MAX - 1));
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES | HAS_LOADER);
    multiboot_put32(multiboot_header + AT_LOADER, multiboot_text("GRUB 2.06"));
    multiboot_modules(2, 0x200000, 0x1000, multiboot_long_text(BOOT_STRING_MAX - 1));
    CHECK(multiboot_fill() != NULL);
}

/* ---- words */

TEST(boot_info_command_line)
{
    multiboot_begin_with_map(HAS_WORDS);
    multiboot_put32(multiboot_header + AT_WORDS,
                    multiboot_text("/boot/grove.elf paging=pae quiet"));
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.words, "/boot/grove.elf paging=pae quiet");
    multiboot_begin_with_map(HAS_WORDS);
    multiboot_put32(multiboot_header + AT_WORDS, multiboot_long_text(BOOT_WORDS_MAX - 1));
    CHECK_OK(multiboot_fill());
    CHECK_EQ(strlen(boot_info.words), BOOT_WORDS_MAX - 1);
    multiboot_begin_with_map(HAS_WORDS);
    multiboot_put32(multiboot_header + AT_WORDS, multiboot_long_text(BOOT_WORDS_MAX));
    CHECK(strstr(multiboot_fill(), "command line") != NULL);
    multiboot_begin_with_map(0);
    multiboot_put32(multiboot_header + AT_WORDS, multiboot_text("not told of"));
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.words, "");
}

TEST(boot_info_loader_name)
{
    multiboot_begin_with_map(HAS_LOADER);
    multiboot_put32(multiboot_header + AT_LOADER, multiboot_text("GRUB 2.06"));
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.loader, "GRUB 2.06");
    multiboot_begin_with_map(0);
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.loader, "unknown");
    multiboot_begin_with_map(HAS_LOADER);       /* absurdly long: the machine starts all the same */
    multiboot_put32(multiboot_header + AT_LOADER, multiboot_long_text(10000));
    CHECK_OK(multiboot_fill());
    CHECK_STR(boot_info.loader, "unknown");
}

TEST(boot_info_words_by_name)
{
    static const struct {
        const char *words, *name, *value;   /* value NULL: no such word */
    } cases[] = {
        { "paging=pae quiet", "paging", "pae" },
        { "paging=pae quiet", "quiet", "" },
        { "paging=pae quiet", "pag", NULL },
        { "paging=pae quiet", "pagingx", NULL },
        { "paging=pae quiet", "pae", NULL },
        { "  a=1   b=2  ", "a", "1" },
        { "  a=1   b=2  ", "b", "2" },
        { "  a=1   b=2  ", "c", NULL },
        { "a= b", "a", "" },
        { "a=b=c", "a", "b=c" },
        { "xa=1 a=2", "a", "2" },
        { "ax a", "a", "" },
        { "a=1 a=2", "a", "1" },
        { "", "a", NULL },
        { "   ", "a", NULL },
        { "last", "last", "" },
        { "x last=1", "last", "1" },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *value;
        size_t length = 12345;
        char text[32] = "";

        multiboot_begin_with_map(HAS_WORDS);
        multiboot_put32(multiboot_header + AT_WORDS, multiboot_text(cases[i].words));
        CHECK_OK(multiboot_fill());
        value = boot_info_word(&boot_info, cases[i].name, &length);
        if (cases[i].value == NULL) {
            CHECK(value == NULL);
            continue;
        }
        CHECK(value != NULL && length < sizeof(text));
        memcpy(text, value, length);
        CHECK_STR(text, cases[i].value);
    }
}
