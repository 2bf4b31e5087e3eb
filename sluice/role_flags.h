// The composition root's name for the flags that give a process its role.
#pragma once

#include "common/role_flags.h"  // IWYU pragma: export
