// The benchmarks' random numbers: SplitMix64, so that all data is a pure function of its seed.
#pragma once

#include <cstdint>

namespace sluice::bench {

class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 .. n - 1.
  uint64_t Below(uint64_t n) { return Next() % n; }
  double NextUnit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

// A word that depends on all bits of another: what checksums sum up.
inline uint64_t Mix(uint64_t word) {
  word = (word ^ (word >> 32)) * 0xd6e8feb86659fd93;
  return word ^ (word >> 29);
}

}  // namespace sluice::bench
