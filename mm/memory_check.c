/*
 * The checker of references: who has a frame, over all spaces and files, against
 * what the frame says.
 *
 * It takes no memory, for there may be none: so many frames are counted in one pass
 * over all entries.
 */
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <kernel/string.h>

enum { PASS_FRAMES = 2048 };

static struct pass {
    size_t first;                       /* number of the first frame that is counted */
    uint32_t entries[PASS_FRAMES];
    uint32_t files[PASS_FRAMES];
    const char *wrong;
} pass;

/* Whose references are counted: the frames of programs and of files. */
static bool is_counted(const frame_t *frame)
{
    return frame->state == FRAME_USED &&
           (frame->owner == OWNER_ANON || frame->owner == OWNER_CACHE);
}

static void count_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    page_t page = mmu_frame(entry);
    const frame_t *frame = physical_frame(page);
    size_t number = (page >> PAGE_SHIFT) - pass.first;

    (void)context;
    (void)vaddr;
    if ((entry & (MMU_PRESENT | MMU_HELD)) == 0)
        return;
    /* What is neither private nor a file's is foreign, or of zeroes: not counted. */
    if ((entry & MMU_OBJECT) != 0 && (frame == NULL || frame->owner != OWNER_CACHE))
        return;
    if (frame == NULL || frame->state != FRAME_USED)
        pass.wrong = "an entry names a frame that is not in use";
    else if (number < PASS_FRAMES)
        pass.entries[number]++;
}

static void count_file(void *context, page_t page)
{
    const frame_t *frame = physical_frame(page);
    size_t number = (page >> PAGE_SHIFT) - pass.first;

    (void)context;
    if (frame == NULL || frame->state != FRAME_USED || frame->owner != OWNER_CACHE)
        pass.wrong = "a file has a page that is no frame of the page cache";
    else if (number < PASS_FRAMES)
        pass.files[number]++;
}

static const char *check_count(size_t number, const frame_t *frame)
{
    static char sentence[128];
    unsigned entries = pass.entries[number - pass.first];
    unsigned files = pass.files[number - pass.first];
    page_t page = (page_t)number << PAGE_SHIFT;

    if (files != (frame->owner == OWNER_CACHE))
        format_text(sentence, sizeof(sentence), "the page cache's frame at %#zx is a page of %u "
                    "files", page, files);
    else if (frame->count != UINT16_MAX && frame->count != entries + files)
        format_text(sentence, sizeof(sentence), "the frame at %#zx is counted %u times, but %u "
                    "entries and %u files have it", page, frame->count, entries, files);
    else
        return NULL;
    return sentence;
}

static const char *check_pass(size_t first, size_t end)
{
    memset(&pass, 0, sizeof(pass));
    pass.first = first;
    mmu_visit_spaces(count_entry, NULL);
    pagecache_visit(count_file, NULL);
    for (size_t i = first; i < end && pass.wrong == NULL; i++)
        if (is_counted(&physical_frames[i]))
            pass.wrong = check_count(i, &physical_frames[i]);
    return pass.wrong;
}

const char *memory_check(void)
{
    const char *wrong = page_count(kMMU.zero_page) == 1 ? NULL :
                        "the page of zeroes is counted";
    size_t first = 0;

    while (wrong == NULL && first < physical_frame_count) {
        size_t left = physical_frame_count - first;
        size_t end = first + (left < PASS_FRAMES ? left : PASS_FRAMES);

        wrong = check_pass(first, end);
        first = end;
        while (first < physical_frame_count && !is_counted(&physical_frames[first]))
            first++;
    }
    return wrong;
}
