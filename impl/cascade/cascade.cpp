#include "cascade/cascade.hpp"

#include <atomic>
#include <new>
#include <utility>

#include "cascade/counters.hpp"
#include "cascade/disk_files.hpp"
#include "cascade/disk_transcripts.hpp"
#include "cascade/fetch.hpp"
#include "cascade/fetch_turn.hpp"
#include "cascade/known_files.hpp"
#include "cascade/observations.hpp"
#include "cascade/resolve.hpp"
#include "cascade/waiting.hpp"
#include "core/curl_transport.hpp"

namespace satchel::cascade {

using core::Timestamp;

namespace {

// Configured away: there are no entries, ever.
class NoTranscripts final : public Transcripts {
 public:
  TranscriptAnswer windows(Timestamp /*now*/) override { return {UsageError::kNoEntries, {}}; }
  core::Result<std::string> report(Timestamp /*now*/, const ReportRange& /*range*/) override {
    return core::Error{core::Status::kNotHandled, "the transcripts are switched off", 0, 0};
  }
};

CascadeParts with_built_ins(const Config& config, CascadeParts parts, core::Clock& clock,
                            core::Log& log) {
  if (!config.cache) {
    parts.files = nullptr;
    parts.cache_dir.clear();
  } else if (parts.files != nullptr) {
    parts.cache_dir.clear();  // no locks beside files that are somewhere else
  } else if (!parts.cache_dir.empty()) {
    parts.files = std::make_unique<DiskFiles>(parts.cache_dir);
  }
  if (parts.credentials == nullptr) {
    parts.credentials = make_file_credentials(parts.config_dirs, log);
  }
  if (parts.transcripts == nullptr) {
    parts.transcripts = make_built_in_transcripts(config, parts, clock, log);
  }
  parts.transport =
      core::with_built_in(std::move(parts.transport),
                          core::make_curl_transport({parts.user_agent, config.ca_file}, log));
  return parts;
}

}  // namespace

std::unique_ptr<Transcripts> make_built_in_transcripts(const Config& config,
                                                       const CascadeParts& parts,
                                                       core::Clock& clock, core::Log& log) {
  if (!config.transcripts) return std::make_unique<NoTranscripts>();
  TranscriptSettings settings;
  settings.config_dirs = parts.config_dirs;
  if (config.cache && config.remember) settings.state_dir = parts.cache_dir;
  settings.dedup = config.dedup == "first" ? TranscriptSettings::Dedup::kFirst
                                           : TranscriptSettings::Dedup::kComplete;
  settings.depth = static_cast<std::uint32_t>(config.depth);
  settings.any_owner = config.owner == "any";
  settings.threads = static_cast<unsigned>(config.threads);
  settings.max_line_bytes = static_cast<std::size_t>(config.max_line_bytes);
  return std::make_unique<DiskTranscripts>(std::move(settings), clock, log);
}

class Cascade::Impl {
 public:
  Impl(const Config& config, CascadeParts parts, core::Clock& clock, core::Log& log)
      : clock_(clock),
        log_(log),
        timeout_ns_(config.timeout_ms * core::kNanosPerMilli),
        fresh_ns_(config.cache_duration_s * core::kNanosPerSecond),
        stale_while_revalidate_(config.stale_while_revalidate),
        terms_{usage_url(config.api_base_url), parts.user_agent, 0},
        parts_(with_built_ins(config, std::move(parts), clock, log)),
        files_(std::move(parts_.files), clock, log),
        observations_(files_, clock),
        turns_(parts_.cache_dir, log),
        waiting_([this] { return resolve_waiting(); }) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() = default;

  Usage resolve() {
    Usage usage = stale_while_revalidate_ ? resolve_at_once() : resolve_waiting();
    counters_.resolved(usage);
    return usage;
  }

  bool resolve_start(Done done) {
    return waiting_.add([this, done = std::move(done)](std::optional<Usage> usage) {
      if (usage) counters_.resolved(*usage);
      done(std::move(usage));
    });
  }

  bool observe(std::span<const HeaderView> headers) {
    std::optional<Observation> observation =
        observe_headers(headers, core::timestamp_of_ns(clock_.unix_ns()));
    if (!observation) return false;
    counters_.observed();
    observations_.add(std::move(*observation));
    return true;
  }

  core::Result<std::string> report(const ReportRange& range) {
    return parts_.transcripts->report(core::timestamp_of_ns(clock_.unix_ns()), range);
  }

  [[nodiscard]] std::string metrics() const { return counters_.metrics(); }

  void break_off() {
    closing_.store(true);
    turns_.stop();
    parts_.transport->stop();
  }

  void shut_down() {
    break_off();
    waiting_.stop();
    try {
      observations_.flush();
    } catch (const std::bad_alloc&) {
      log_.write(core::LogLevel::kWarn, "cascade.files",
                 "no memory to share what was observed last");
    }
  }

 private:
  // The parts of one resolve: what it waits for ends with it.
  class Steps final : public ResolveParts {
   public:
    explicit Steps(Impl& impl)
        : impl_(impl), deadline_ns_(core::system_clock().monotonic_ns() + impl.timeout_ns_) {}

    Timestamp now() override { return core::timestamp_of_ns(impl_.clock_.unix_ns()); }
    std::optional<CacheEntry> cache() override { return impl_.files_.cache(); }
    std::optional<Lock> lock() override { return impl_.files_.lock(now()); }
    std::shared_ptr<const Observation> observation() override {
      return impl_.observations_.newest();
    }

    bool wait_for_turn() override {
      const std::int64_t begin = core::system_clock().monotonic_ns();
      turn_ = impl_.turns_.wait(deadline_ns_);
      waited_ns_ = core::system_clock().monotonic_ns() - begin;
      if (turn_ == nullptr) impl_.counters_.turn_not_had();
      return turn_ != nullptr;
    }
    void end_turn() override { turn_.reset(); }

    TokenAnswer token() override { return impl_.parts_.credentials->token(); }
    Fetched fetch(const core::Secret& token) override {
      const std::int64_t begin = core::system_clock().monotonic_ns();
      const bool short_of_time = waited_ns_ > impl_.timeout_ns_ / 2;
      if (begin >= deadline_ns_) return {UsageError::kTimeout, {}, nullptr, false, short_of_time};
      FetchTerms terms = impl_.terms_;
      terms.timeout_ns = deadline_ns_ - begin;
      Fetched fetched = fetch_usage(*impl_.parts_.transport, terms, token, now(), impl_.log_);
      fetched.broken_off = fetched.error != UsageError::kNone && impl_.closing_.load();
      fetched.cut_short = fetched.error == UsageError::kTimeout && short_of_time;
      impl_.counters_.fetched(fetched.error, core::system_clock().monotonic_ns() - begin);
      return fetched;
    }
    TranscriptAnswer transcripts(Timestamp now) override {
      return impl_.parts_.transcripts->windows(now);
    }

    void write_cache(const EndpointUsage& usage) override {
      impl_.files_.write_cache(usage, now());
    }
    void clear_cache() override { impl_.files_.clear_cache(); }
    void write_lock(const Lock& lock) override { impl_.files_.write_lock(lock); }

   private:
    Impl& impl_;
    const std::int64_t deadline_ns_;
    std::unique_ptr<FetchTurns::Turn> turn_;
    std::int64_t waited_ns_ = 0;  // for it
  };

  Usage resolve_waiting() {
    Steps steps(*this);
    return cascade::resolve(steps, fresh_ns_);
  }

  Usage resolve_at_once() {
    Steps steps(*this);
    AtOnce at_once = cascade::resolve_at_once(steps, fresh_ns_);
    if (!at_once.usage) return cascade::resolve(steps, fresh_ns_);
    if (at_once.refresh && !waiting_.refresh()) say_not_refreshed();
    return std::move(*at_once.usage);
  }

  void say_not_refreshed() {
    std::uint64_t suppressed = 0;
    if (!not_refreshed_.due(clock_.monotonic_ns(), &suppressed)) return;
    log_.write(core::LogLevel::kWarn, "cascade.fetch",
               "the system has no thread to refresh what is stale; tried again with each question");
  }

  core::Clock& clock_;
  core::Log& log_;
  core::LogOnce not_refreshed_{60 * core::kNanosPerSecond};
  const std::int64_t timeout_ns_;
  const std::int64_t fresh_ns_;
  const bool stale_while_revalidate_;
  const FetchTerms terms_;
  CascadeParts parts_;
  KnownFiles files_;
  Observations observations_;
  FetchTurns turns_;
  Counters counters_;
  std::atomic<bool> closing_{false};
  Waiting waiting_;
};

Cascade::Cascade(const Config& config, CascadeParts parts, core::Clock& clock, core::Log& log)
    : impl_(std::make_unique<Impl>(config, std::move(parts), clock, log)) {}

Cascade::~Cascade() { impl_->shut_down(); }

Usage Cascade::resolve() { return impl_->resolve(); }

bool Cascade::resolve_start(Done done) { return impl_->resolve_start(std::move(done)); }

bool Cascade::observe(std::span<const HeaderView> headers) { return impl_->observe(headers); }

core::Result<std::string> Cascade::report(const ReportRange& range) { return impl_->report(range); }

std::string Cascade::metrics() const { return impl_->metrics(); }

void Cascade::break_off() { impl_->break_off(); }

void Cascade::shut_down() { impl_->shut_down(); }

}  // namespace satchel::cascade
