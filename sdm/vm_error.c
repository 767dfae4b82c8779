#include "sdm/vm_error.h"

#define VM_ERROR_TO_ROW(number, name, words) [number] = words,
static const char *const sentences[VM_ERROR_COUNT] = {VM_ERRORS(VM_ERROR_TO_ROW)};

const char *vm_error_words(uint32_t number)
{
    return number < VM_ERROR_COUNT && sentences[number] ? sentences[number] : "unknown VM-instruction error";
}
