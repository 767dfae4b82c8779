// Groups of the paging guest's points.
#pragma once
#include "guests/lib/guest.h"

unsigned real_points(void);
void real_test(const struct start_info *start);
