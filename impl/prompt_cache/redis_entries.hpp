// The entries in Redis: read, written and slid, and nothing about what stands behind it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/redis.hpp"
#include "core/result.hpp"
#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/redis_time.hpp"
#include "prompt_cache/redis_value.hpp"

namespace satchel::prompt_cache {

// An entry with a newer stamp is left as it is.
struct RedisWrite {
  ScopeId scope{};
  Entry entry;
  std::int64_t stamp_us = 0;
};
struct RedisSlide {
  EntryKey key;
  std::int64_t expires_at = 0;
  std::int64_t stamp_us = 0;
};

// Any thread.
class RedisEntries {
 public:
  RedisEntries(std::unique_ptr<core::Redis> redis, core::Clock& clock)
      : redis_(std::move(redis)), clock_(clock), time_(clock) {}

  [[nodiscard]] const std::string& name() const { return redis_->name(); }

  // A moment by the server's clock, for what is read from or written to PostgreSQL: taken before
  // the reading, or after the writing. An error only where the server has never told its time.
  core::Result<std::int64_t> stamp_us(const ScopeId& scope);

  // All candidates that are there, live or not.
  core::Result<std::vector<Entry>> find(const ScopeId& scope,
                                        std::span<const PrefixHash> candidates);

  // `failed`, where it is not null: those that may not have been done. The error is the first one.
  core::Result<void> write(std::span<const RedisWrite> writes, std::vector<RedisWrite>* failed);
  // Only entries that are there.
  core::Result<void> slide(std::span<const RedisSlide> slides, std::vector<RedisSlide>* failed);

  // Nothing that is there now is believed any more, by this process.
  void distrust() { distrust_ = true; }
  // Deletes the entries of all processes.
  core::Result<void> remove_all();

 private:
  core::Result<void> know_time(std::string_view key);
  core::Result<std::vector<core::RedisReply>> run(std::string_view key,
                                                  std::span<const core::RedisCommand> commands);
  std::int64_t next_stamp_us();
  core::Result<void> write_some(std::span<const RedisWrite> writes);
  core::Result<void> slide_some(std::span<const RedisSlide> slides);
  [[nodiscard]] std::string lifetime_ms(std::int64_t expires_at) const;

  const std::unique_ptr<core::Redis> redis_;
  core::Clock& clock_;
  RedisTime time_;
  std::mutex distrusting_;
  std::atomic<bool> distrust_{false};
  std::atomic<std::int64_t> believed_from_us_{0};
};

}  // namespace satchel::prompt_cache
