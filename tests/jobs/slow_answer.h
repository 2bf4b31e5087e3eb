// A call to something slow, for jobs of tests.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

// Stands for a call whose answer comes after so many microseconds.
inline void AwaitAnswer(int64_t after_us) {
  std::mutex mutex;
  std::condition_variable answered;
  std::unique_lock lock(mutex);
  answered.wait_for(lock, std::chrono::microseconds(after_us), [] { return false; });
}
