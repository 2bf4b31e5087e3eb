#pragma once
#include "driver/api/shuffle.h"
