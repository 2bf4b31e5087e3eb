// A machine that has no thread left, for tests.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstddef>

namespace sluice {

// While it lives no thread can be made: there is no room for the stack of one.
class NoThreads {
 public:
  NoThreads() {
    pthread_attr_t vast;
    EXPECT_EQ(pthread_getattr_default_np(&former_), 0);
    EXPECT_EQ(pthread_attr_init(&vast), 0);
    EXPECT_EQ(pthread_attr_setstacksize(&vast, size_t{1} << 50), 0);
    EXPECT_EQ(pthread_setattr_default_np(&vast), 0);
    pthread_attr_destroy(&vast);
  }
  ~NoThreads() {
    EXPECT_EQ(pthread_setattr_default_np(&former_), 0);
    pthread_attr_destroy(&former_);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t former_;
};

}  // namespace sluice
