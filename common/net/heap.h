// Keeps freed memory in the process. gRPC allocates a receive buffer per message and glibc gives
// it back to the kernel by default, which costs more than the transfer itself: 118 to 200 thousand
// page faults per GB against next to none.
#pragma once

namespace sluice {

// Called once at the start of main, before other threads. All three settings belong together: one
// alone can be slower than none.
void KeepHeap();

}  // namespace sluice
