// Block names between their wire form and the plain one.
#pragma once

#include <cinttypes>
#include <cstdio>
#include <string>

#include "proto/batch.pb.h"
#include "worker/shm/block_key.h"

namespace sluice {

inline BlockKey KeyOf(const proto::BlockName& name) {
  return {.job_instance = name.job_instance(),
          .incarnation = name.incarnation(),
          .number = name.number(),
          .stream = name.stream()};
}

inline proto::BlockName NameOf(const BlockKey& key) {
  proto::BlockName name;
  name.set_job_instance(key.job_instance);
  name.set_stream(static_cast<uint32_t>(key.stream));
  name.set_incarnation(key.incarnation);
  name.set_number(key.number);
  return name;
}

// For people: JOB/STREAM/INCARNATION/NUMBER.
inline std::string BlockText(const BlockKey& key) {
  char text[96];
  std::snprintf(text, sizeof(text), "%016" PRIx64 "/%" PRIu64 "/%016" PRIx64 "/%" PRIu64,
                key.job_instance, key.stream, key.incarnation, key.number);
  return text;
}

}  // namespace sluice
