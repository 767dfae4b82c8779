// Tests that use spaces say which frame cache their thread owns.
#include <stddef.h>
#include "mm/frame_cache.h"

_Thread_local struct frame_cache *host_frame_cache;
