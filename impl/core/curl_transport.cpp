#include "core/curl_transport.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/libcurl.hpp"
#include "core/residue.hpp"
#include "core/signals_held.hpp"

namespace satchel::core {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kIdleChannels = 4;
constexpr std::chrono::seconds kIdleTime(60);
// The longest sleep; libcurl wakes up by itself for whatever it waits for.
constexpr int kPollMs = 1000;

Error stopped_error() { return {Status::kIo, "the transport is stopped"}; }

// A multi handle of libcurl: it owns the connection, and it can be woken from another thread.
class Channel {
 public:
  explicit Channel(const LibCurl& curl) : curl_(&curl), multi_(curl.multi_init()) {
    if (multi_ != nullptr) curl.multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 1L);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    if (multi_ == nullptr) return;
    const SignalsHeld held;
    curl_->multi_cleanup(multi_);
  }

  [[nodiscard]] CURLM* multi() const { return multi_; }
  void wake() { curl_->multi_wakeup(multi_); }

  SteadyTime idle_since;

 private:
  const LibCurl* curl_;
  CURLM* multi_;
};

// The exchange in the channel, taken out whatever happens: libcurl forbids to free either before.
class Attached {
 public:
  Attached(const LibCurl& curl, CURLM* multi, CURL* easy)
      : curl_(curl), multi_(multi), easy_(easy), code_(curl.multi_add_handle(multi, easy)) {}
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() {
    const SignalsHeld held;
    curl_.multi_remove_handle(multi_, easy_);
  }
  [[nodiscard]] CURLMcode code() const { return code_; }

 private:
  const LibCurl& curl_;
  CURLM* multi_;
  CURL* easy_;
  CURLMcode code_;
};

class CurlTransport final : public Transport {
 public:
  CurlTransport(CurlSettings settings, Log& log) : settings_(std::move(settings)), log_(log) {
    idle_.reserve(kIdleChannels + 1);  // giving back cannot fail
  }

  Result<HttpAnswer> send(const HttpRequest& request) override;
  void stop() override;

 private:
  class Lease;

  Result<const LibCurl*> load();
  std::unique_ptr<Channel> acquire(const LibCurl& curl);
  void give_back(std::unique_ptr<Channel> channel);
  Result<HttpAnswer> exchange_in(const LibCurl& curl, Channel& channel, const HttpRequest& request);
  Result<HttpAnswer> run(const LibCurl& curl, Channel& channel, CurlExchange& exchange);

  const CurlSettings settings_;
  Log& log_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> told_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Channel>> idle_;  // the longest idle first
  std::vector<Channel*> busy_;
};

// A channel for the time of one send.
class CurlTransport::Lease {
 public:
  Lease(CurlTransport& owner, const LibCurl& curl) : owner_(owner), channel_(owner.acquire(curl)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (channel_ != nullptr) owner_.give_back(std::move(channel_));
  }
  [[nodiscard]] Channel* channel() const { return channel_.get(); }

 private:
  CurlTransport& owner_;
  std::unique_ptr<Channel> channel_;
};

Result<const LibCurl*> CurlTransport::load() {
  Result<const LibCurl*> curl = libcurl();
  if (curl && !(*curl)->wipes && !told_.exchange(true)) {
    log_.write(LogLevel::kDebug, "core.curl",
               "libcurl was initialised by the host: memory that it frees is not wiped");
  }
  return curl;
}

// What has been idle for too long goes after the lock is released: closing takes a while.
std::unique_ptr<Channel> CurlTransport::acquire(const LibCurl& curl) {
  std::vector<std::unique_ptr<Channel>> outdated;
  const SteadyTime now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  while (!idle_.empty() && now - idle_.front()->idle_since > kIdleTime) {
    outdated.push_back(std::move(idle_.front()));
    idle_.erase(idle_.begin());
  }
  std::unique_ptr<Channel> channel;
  if (idle_.empty()) {
    channel = std::make_unique<Channel>(curl);
    if (channel->multi() == nullptr) return nullptr;
  } else {
    channel = std::move(idle_.back());
    idle_.pop_back();
  }
  busy_.push_back(channel.get());
  return channel;
}

void CurlTransport::give_back(std::unique_ptr<Channel> channel) {
  std::unique_ptr<Channel> surplus;
  const std::lock_guard lock(mutex_);
  std::erase(busy_, channel.get());
  if (stopped_) return;
  channel->idle_since = std::chrono::steady_clock::now();
  idle_.push_back(std::move(channel));
  if (idle_.size() > kIdleChannels) {
    surplus = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
}

Result<HttpAnswer> CurlTransport::run(const LibCurl& curl, Channel& channel,
                                      CurlExchange& exchange) {
  CURLM* multi = channel.multi();
  const Attached attached(curl, multi, exchange.easy());
  CURLMcode code = attached.code();
  for (int running = 1; code == CURLM_OK;) {
    {
      // No waiting in here. libcurl's thread for a name's address starts here, too.
      const SignalsHeld held;
      code = curl.multi_perform(multi, &running);
    }
    if (code != CURLM_OK || running == 0) break;
    if (stopped_) return stopped_error();
    code = curl.multi_poll(multi, nullptr, 0, kPollMs, nullptr);
  }
  if (code == CURLM_OK) {
    int left = 0;
    while (const CURLMsg* message = curl.multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) return exchange.finish(message->data.result);
    }
    code = CURLM_INTERNAL_ERROR;
  }
  return Error{code == CURLM_OUT_OF_MEMORY ? Status::kMemory : Status::kIo,
               std::string("libcurl: ") + curl.multi_strerror(code)};
}

Result<HttpAnswer> CurlTransport::exchange_in(const LibCurl& curl, Channel& channel,
                                              const HttpRequest& request) {
  CurlExchange exchange(curl, settings_);
  if (Result<void> done = exchange.prepare(request); !done) return done.take_error();
  return run(curl, channel, exchange);
}

Result<HttpAnswer> CurlTransport::send(const HttpRequest& request) {
  if (stopped_) return stopped_error();
  Result<const LibCurl*> curl = load();
  if (!curl) return curl.take_error();
  Lease lease(*this, **curl);
  if (lease.channel() == nullptr) return Error{Status::kMemory, "no memory for an HTTP request"};
  Result<HttpAnswer> answer = exchange_in(**curl, *lease.channel(), request);
  wipe_residue();
  return answer;
}

// Who is not in busy_ yet sees stopped_ before it waits; who is, is woken.
void CurlTransport::stop() {
  stopped_ = true;
  const std::lock_guard lock(mutex_);
  for (Channel* channel : busy_) channel->wake();
}

}  // namespace

std::unique_ptr<Transport> make_curl_transport(CurlSettings settings, Log& log) {
  return std::make_unique<CurlTransport>(std::move(settings), log);
}

}  // namespace satchel::core
