#include "tool_cache/remote_redis.hpp"

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/redis.hpp"
#include "core/text.hpp"
#include "tool_cache/remote_entry.hpp"
#include "tool_cache/remote_signature.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Redis;
using core::RedisCommand;
using core::RedisReply;
using core::Result;
using core::Status;
using Kind = RemoteSigner::Kind;

namespace {

// An entry beyond it is not shared: one whose upstream does not know it could not be invalidated.
constexpr std::int64_t kMostDependents = 10'000;
// Of one invalidation.
constexpr std::size_t kMostDropped = 100'000;
constexpr std::size_t kReplyOverhead = 4'096;
constexpr std::size_t kMaxShown = 120;  // of what a server says goes into the log

// A command that Redis refuses by itself.
Error refusal(const RedisReply& reply) {
  const std::string said = core::quoted(core::cut_at_character(reply.text, kMaxShown));
  // Something else stands under our name.
  if (reply.text.starts_with("WRONGTYPE")) return {Status::kIntegrity, said, 0, 0};
  // Full, and told not to evict.
  if (reply.text.starts_with("OOM")) return {Status::kNotStored, said, 0, 0};
  return {Status::kUnavailable, "it answers " + said, 0, 0};
}

Error unexpected() { return {Status::kIo, "it answers with something else than was asked", 0, 0}; }

std::string_view key_bytes(const Key& key) {
  return {reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()};
}

class RedisRemote final : public RemoteStore {
 public:
  RedisRemote(const RemoteConfig& config, std::unique_ptr<Redis> reader,
              std::unique_ptr<Redis> writer)
      : max_payload_bytes_(static_cast<std::size_t>(config.max_payload_bytes)),
        ttl_ms_(std::to_string(config.ttl_ms)),
        signer_(config.key),
        prefix_("satchel:tool:" + signer_.namespace_id() + ":{"),
        reader_(std::move(reader)),
        writer_(std::move(writer)) {}

  [[nodiscard]] std::string name() const override { return reader_->name(); }

  Result<std::optional<RemoteEntry>> fetch(const Key& key) override {
    // GETRANGE, so that a value of any size costs no more than the largest that we take.
    const std::vector<RedisCommand> commands = {
        {"GETRANGE", named(key, "meta"), "0", last_byte(kRemoteMaxMetaBytes)},
        {"GETRANGE", named(key, "payload"), "0", last_byte(max_payload_bytes_)}};
    Result<std::vector<RedisReply>> replies = run(*reader_, key, commands);
    if (!replies) return replies.take_error();
    const std::string& sealed_meta = (*replies)[0].text;
    const std::string& sealed_payload = (*replies)[1].text;
    if (sealed_meta.empty() || sealed_payload.empty()) return std::optional<RemoteEntry>();
    const auto text = signer_.open(Kind::kMeta, key, sealed_meta);
    const auto payload = signer_.open(Kind::kPayload, key, sealed_payload);
    if (!text || !payload) {
      return Error{Status::kIntegrity, "it was not signed with our secret, or altered since", 0, 0};
    }
    Result<Meta> meta = read_meta(*text);
    if (!meta) return Error{Status::kIntegrity, meta.error().message, 0, 0};
    // Both are ours, of two writes: another machine is replacing it, or Redis evicted one of them.
    if (meta->payload_hash != payload_hash_of(*payload)) return std::optional<RemoteEntry>();
    Result<RemoteEntry> entry = checked_remote_entry(std::move(*meta), std::string(*payload));
    if (!entry) return entry.take_error();
    return std::optional<RemoteEntry>(std::move(*entry));
  }

  // The upstreams first: an entry that can be fetched can be invalidated.
  Result<void> send(const Key& key, std::string_view payload, const Meta& meta) override {
    const std::string text = write_meta(meta);
    if (text.size() > kRemoteMaxMetaBytes) {
      return Error{Status::kNotStored, "its meta is too long", 0, 0};
    }
    for (const std::string& upstream : meta.upstream_keys) {
      const std::optional<Key> from = Key::of_name(upstream);
      if (!from) continue;
      if (Result<void> added = add_dependent(*from, key); !added) return added;
    }
    const std::vector<RedisCommand> commands = {
        {"SET", named(key, "payload"), signer_.seal(Kind::kPayload, key, payload), "PX", ttl_ms_},
        {"SET", named(key, "meta"), signer_.seal(Kind::kMeta, key, text), "PX", ttl_ms_}};
    const Result<std::vector<RedisReply>> replies = run(*writer_, key, commands);
    if (!replies) return replies.error();
    return {};
  }

  Result<void> remove(const Key& key) override {
    const std::vector<RedisCommand> commands = {
        {"UNLINK", named(key, "meta"), named(key, "payload")}};
    const Result<std::vector<RedisReply>> replies = run(*writer_, key, commands);
    if (!replies) return replies.error();
    return {};
  }

  Result<std::vector<Key>> remove_dependents(const Key& key) override {
    std::unordered_set<Key, KeyHash> seen = {key};
    std::vector<Key> found = {key};
    for (std::size_t next = 0; next < found.size(); ++next) {
      Result<std::vector<Key>> dependents = dependents_of(found[next]);
      if (!dependents) return dependents.take_error();
      for (const Key& dependent : *dependents) {
        if (seen.size() > kMostDropped || !seen.insert(dependent).second) continue;
        if (Result<void> removed = remove(dependent); !removed) return removed.take_error();
        found.push_back(dependent);
      }
    }
    found.erase(found.begin());
    return found;
  }

  void stop() override { stopped_ = true; }

 private:
  [[nodiscard]] std::string named(const Key& key, std::string_view what) const {
    return prefix_ + key.hex() + "}:" + std::string(what);
  }
  // One more than is taken, so that a longer value does not open.
  static std::string last_byte(std::size_t most) {
    return std::to_string(most + RemoteSigner::kOverhead);
  }

  Result<void> add_dependent(const Key& upstream, const Key& key) {
    const std::string set = named(upstream, "dependents");
    const std::string member = signer_.seal(Kind::kDependent, upstream, key_bytes(key));
    const std::vector<RedisCommand> commands = {
        {"SADD", set, member}, {"PEXPIRE", set, ttl_ms_}, {"SCARD", set}};
    const Result<std::vector<RedisReply>> replies = run(*writer_, upstream, commands);
    if (!replies) return replies.error();
    if ((*replies)[2].integer <= kMostDependents || (*replies)[0].integer == 0) return {};
    const std::vector<RedisCommand> back = {{"SREM", set, member}};
    if (const Result<std::vector<RedisReply>> done = run(*writer_, upstream, back); !done) {
      return done.error();
    }
    return Error{Status::kNotStored, "too many other entries were made from the same", 0, 0};
  }

  // They stay in the set until they expire: one of them may be stored anew at this moment.
  Result<std::vector<Key>> dependents_of(const Key& upstream) {
    const std::vector<RedisCommand> commands = {{"SMEMBERS", named(upstream, "dependents")}};
    const Result<std::vector<RedisReply>> replies = run(*writer_, upstream, commands);
    std::vector<Key> keys;
    if (!replies) {
      // No set of ours: nothing to be followed.
      if (replies.error().status == Status::kIntegrity) return keys;
      return replies.error();
    }
    for (const RedisReply& member : (*replies)[0].elements) {
      const auto bytes = signer_.open(Kind::kDependent, upstream, member.text);
      if (!bytes || bytes->size() != sizeof Key::bytes) continue;
      Key& key = keys.emplace_back();
      std::memcpy(key.bytes.data(), bytes->data(), bytes->size());
    }
    return keys;
  }

  // Replies to all commands, none of them an error.
  Result<std::vector<RedisReply>> run(Redis& redis, const Key& key,
                                      const std::vector<RedisCommand>& commands) const {
    if (stopped_) return Error{Status::kUnavailable, "the cache is being closed", 0, 0};
    Result<std::vector<RedisReply>> replies = redis.run(named(key, "meta"), commands);
    if (!replies) return replies;
    if (replies->size() != commands.size()) return unexpected();
    for (const RedisReply& reply : *replies) {
      if (reply.is_error()) return refusal(reply);
    }
    return replies;
  }

  const std::size_t max_payload_bytes_;
  const std::string ttl_ms_;
  const RemoteSigner signer_;
  const std::string prefix_;
  const std::unique_ptr<Redis> reader_;
  const std::unique_ptr<Redis> writer_;
  std::atomic<bool> stopped_{false};
};

}  // namespace

Result<std::unique_ptr<RemoteStore>> make_redis_remote(const RemoteConfig& config) {
  core::RedisOptions options;
  options.urls = config.urls;
  options.cluster = config.cluster;
  options.limits.max_reply_bytes =
      static_cast<std::size_t>(config.max_payload_bytes) + 2 * kRemoteMaxMetaBytes + kReplyOverhead;
  options.limits.timeout_ns = config.timeout_ms * core::kNanosPerMilli;
  Result<std::unique_ptr<Redis>> reader = Redis::make(options);
  if (!reader) return reader.take_error();
  // Nobody waits for what this one does.
  options.limits.timeout_ns = config.send_timeout_ms * core::kNanosPerMilli;
  options.limits.pool = 1;
  Result<std::unique_ptr<Redis>> writer = Redis::make(options);
  if (!writer) return writer.take_error();
  return std::unique_ptr<RemoteStore>(
      std::make_unique<RedisRemote>(config, std::move(*reader), std::move(*writer)));
}

}  // namespace satchel::tool_cache
