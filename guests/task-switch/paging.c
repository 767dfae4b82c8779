// Tasks with address spaces of their own: CR3 and PAE's four directory pointers come from the TSS.
#include "guests/task-switch/tasks.h"

enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80, CR4_PSE = 1 << 4, WINDOW = 0x40000000, PAGE = 4096 };

static uint32_t directory[2][PAGE / 4] __attribute__((aligned(4096)));
static uint64_t pointers[2][4] __attribute__((aligned(32)));
static uint64_t pae_directory[PAGE / 8] __attribute__((aligned(4096)));
static const uint32_t landmark = 0xfeedface;

static void set_paging(word_t cr3, word_t cr4)
{
    write_cr4(read_cr4() | cr4);
    write_cr3(cr3);
    write_cr0(read_cr0() | CR0_PG);
}

static void stop_paging(void)
{
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr4(read_cr4() & ~(word_t)(CR4_PSE | CR4_PAE));
    write_cr3(0);
}

// In the worker's space alone the window shows this guest's memory once more.
static void switch_spaces(const char *name, word_t main_cr3, word_t work_cr3)
{
    prepare();
    tss_work.cr3 = work_cr3;
    look_at = (const volatile uint32_t *)(WINDOW + (word_t)&landmark);
    go(BY_CALL, WORK);
    check(worked.cr3 == work_cr3 && read_cr3() == main_cr3 && worked.looked == landmark, name,
          "expected CR3 %#lx, there %#lx, and %#x in its window\ngot %#lx, %#x, %#x", (unsigned long)main_cr3,
          (unsigned long)work_cr3, landmark, (unsigned long)read_cr3(), worked.cr3, worked.looked);
}

static void call_worker(void *unused)
{
    (void)unused;
    go(BY_CALL, WORK);
}

static void tss_not_mapped(void)
{
    prepare();
    gdt[WORK / 8] = segment(2u * WINDOW, sizeof tss_work - 1, 0x89);
    struct fault f = catch_exception(call_worker, NULL);
    check_fault("tss-not-mapped", (struct fault){.vector = VECTOR_PF}, f);
}

unsigned paging_points(void)
{
    return 3;
}

void paging_test(void)
{
    for (unsigned i = 0; i < 2; i++) {
        directory[i][0] = PRESENT | WRITABLE | LARGE;
        pointers[i][0] = (word_t)pae_directory | PRESENT;
    }
    pae_directory[0] = PRESENT | WRITABLE | LARGE;
    pae_directory[1] = 0x200000 | PRESENT | WRITABLE | LARGE;
    directory[1][WINDOW >> 22] = PRESENT | WRITABLE | LARGE;
    pointers[1][WINDOW >> 30] = (word_t)pae_directory | PRESENT;
    set_paging((word_t)directory[0], CR4_PSE);
    switch_spaces("cr3", (word_t)directory[0], (word_t)directory[1]);
    tss_not_mapped();
    stop_paging();
    set_paging((word_t)pointers[0], CR4_PAE);
    switch_spaces("cr3-pae", (word_t)pointers[0], (word_t)pointers[1]);
    stop_paging();
}
