// The public typed API; sluice/sluice.h adds RunJob to it.
#pragma once

#include "common/codec.h"
#include "common/codec_text.h"
#include "driver/api/args.h"
#include "driver/api/dstream.h"
#include "driver/api/map.h"
#include "driver/api/options.h"
#include "driver/api/output.h"
#include "driver/api/queue.h"
#include "driver/api/receiver.h"
#include "driver/api/sample.h"
#include "driver/api/shuffle.h"
#include "driver/api/split_words.h"
#include "driver/api/state.h"
#include "driver/api/streaming_context.h"
#include "driver/api/window.h"
