// Single flight, and hash - run - hash.
//
// A result may be kept only if no root changed while the tool ran: the tool may have read what
// stood there in between. So a root's fingerprint is taken before and again at the commit; and
// because a file that was changed and changed back has the same fingerprint, so is its stamp, whose
// ctime does not go back. What happens between the second look and the store is harmless: the entry
// then names a fingerprint that the file no longer has.
#include <algorithm>
#include <chrono>
#include <utility>

#include "core/text.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;
using core::Status;

namespace {

std::int64_t now_steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::uint64_t micros_since(std::int64_t start_ns) {
  return static_cast<std::uint64_t>((now_steady_ns() - start_ns) / 1000);
}

bool damaged(Status status) { return status == Status::kIntegrity || status == Status::kMeta; }

// A root as it was before the tool ran.
struct RootBefore {
  Root root;  // with its fingerprint
  std::string path;
  std::optional<core::FileStamp> stamp;
};

}  // namespace

class CallLease final : public ComputeLease {
 public:
  CallLease(std::shared_ptr<ToolCache::Impl> cache, const Key& key, Call call, Leases::Held held,
            std::int64_t began_ns)
      : cache_(std::move(cache)),
        key_(key),
        call_(std::move(call)),
        held_(std::move(held)),
        began_ns_(began_ns) {}

  ~CallLease() override { end(); }

  // Looks at the roots for the first time. What cannot be fingerprinted cannot be kept either, but
  // the tool may run all the same.
  void look() {
    for (const Root& asked : call_.roots) {
      const Form form = form_of(asked.expected_hash);
      RootBefore before;
      before.root.path = asked.path;
      before.path = cache_->resolve(asked.path);
      before.stamp = core::stamp_of(before.path);
      Result<std::string> fingerprint =
          cache_->fingerprint(asked.path, static_cast<FingerprintForm>(form));
      if (!fingerprint) {
        why_not_ = "the root " + core::quoted(asked.path) +
                   " could not be fingerprinted: " + fingerprint.error().message;
        return;
      }
      before.root.expected_hash = std::move(*fingerprint);
      before_.push_back(std::move(before));
    }
  }

  Result<Kept> commit(std::string_view payload, Meta extra) override {
    return finish(std::move(extra),
                  [&](Meta meta) { return cache_->persist(key_, payload, std::move(meta)); });
  }

  Result<void> abandon() override {
    if (ended_) return ended_error();
    end();
    return {};
  }

  Result<PayloadWriter*> writer() override {
    if (ended_) return ended_error();
    if (writer_ == nullptr) {
      Result<std::unique_ptr<PayloadWriter>> begun = cache_->begin_persist(key_);
      if (!begun) return begun.take_error();
      writer_ = std::move(*begun);
    }
    return writer_.get();
  }

  Result<Kept> commit_written(Meta extra) override {
    if (Result<PayloadWriter*> begun = writer(); !begun) return begun.take_error();
    return finish(std::move(extra), [&](Meta meta) {
      return cache_->commit_written(key_, *writer_, std::move(meta));
    });
  }

 private:
  static Error ended_error() {
    return {Status::kState, "the lease was committed or abandoned before", 0, 0};
  }

  template <class Persist>
  Result<Kept> finish(Meta extra, Persist persist) {
    if (ended_) return ended_error();
    if (why_not_.empty()) look_again();
    if (why_not_.empty() && !held_.still_mine()) {
      why_not_ = "the lease had passed on to another";
    }
    Meta meta = std::move(extra);
    if (meta.tool_kind.empty()) meta.tool_kind = call_.kind;
    const std::string kind = meta.tool_kind;
    if (!why_not_.empty()) {
      ++cache_->counters_.not_stored;
      cache_->record(
          {kind, "uncached", micros_since(began_ns_), call_.args_summary, "not_cacheable"});
      end();
      return Kept{false, why_not_};
    }
    std::vector<Root> roots;
    for (RootBefore& before : before_) roots.push_back(std::move(before.root));
    roots.insert(roots.end(), std::make_move_iterator(meta.file_roots.begin()),
                 std::make_move_iterator(meta.file_roots.end()));
    meta.file_roots = std::move(roots);
    Result<void> stored = persist(std::move(meta));
    cache_->record({kind, stored ? "miss" : "uncached", micros_since(began_ns_), call_.args_summary,
                    stored ? "" : "error"});
    end();
    if (!stored) return stored.take_error();
    return Kept{};
  }

  void look_again() {
    for (const RootBefore& before : before_) {
      const Form form = form_of(before.root.expected_hash);
      const Result<std::string> now = cache_->fingerprints_->current(before.path, form);
      // The stamp last: a change behind it is one behind the second look.
      if (!now || *now != before.root.expected_hash ||
          core::stamp_of(before.path) != before.stamp) {
        why_not_ = "the root " + core::quoted(before.root.path) + " changed while the tool ran";
        return;
      }
    }
  }

  void end() {
    if (ended_) return;
    ended_ = true;
    writer_.reset();
    held_.release();
  }

  std::shared_ptr<ToolCache::Impl> cache_;
  const Key key_;
  const Call call_;
  Leases::Held held_;
  const std::int64_t began_ns_;
  std::vector<RootBefore> before_;
  std::unique_ptr<PayloadWriter> writer_;
  std::string why_not_;  // why the result will not be kept, as far as is known
  bool ended_ = false;
};

Result<Begun> ToolCache::Impl::get_or_begin(const Key& key, Call call) {
  const std::int64_t began = now_steady_ns();
  const std::int64_t lease_ns =
      call.lease_ns > 0 ? call.lease_ns : config_.lease_ms * core::kNanosPerMilli;
  // What is there and true; nothing if it must be computed. Of several looks the first counts, and
  // one that hits.
  bool looked = false;
  const auto true_result = [&]() -> Result<std::optional<Stored>> {
    Result<Found> found = revalidate(key);
    // Once: what others compute meanwhile is done here or found by the next call.
    if (!looked) found = or_from_remote(key, std::move(found));
    if (!looked || (found && found->answer == Status::kOk)) found = count(key, std::move(found));
    looked = true;
    if (!found && !damaged(found.error().status)) return found.take_error();
    if (!found || found->answer != Status::kOk) return std::optional<Stored>{};
    record({call.kind, "hit", micros_since(began), call.args_summary, ""});
    return std::optional<Stored>(std::move(found->stored));
  };
  bool waited = false;
  bool last = false;
  for (;;) {
    Result<std::optional<Stored>> known = true_result();
    if (!known) return known.take_error();
    if (*known) return Begun{Status::kOk, std::move(**known), nullptr};
    Result<std::optional<Leases::Held>> held = leases_->acquire(key, lease_ns);
    if (!held) return held.take_error();
    if (*held) {
      // Whoever computed it may have been done between the look and the lease.
      known = true_result();
      if (!known) return known.take_error();
      if (*known) return Begun{Status::kOk, std::move(**known), nullptr};
      ++counters_.leases;
      auto lease = std::make_unique<CallLease>(shared_from_this(), key, std::move(call),
                                               std::move(**held), began);
      lease->look();
      return Begun{Status::kLeased, {}, std::move(lease)};
    }
    if (!waited) ++counters_.waits;
    waited = true;
    const std::int64_t left = call.wait_ns - (now_steady_ns() - began);
    if (left <= 0 || last) return Begun{};
    last = !leases_->wait(key, left);
  }
}

}  // namespace satchel::tool_cache
