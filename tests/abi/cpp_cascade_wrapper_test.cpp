// The cascade in satchel.hpp: what C++ adds to the contract.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "satchel/satchel.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 1'776'573'000 * kSecond;   // 2026-04-19T04:30:00Z
constexpr std::int64_t kHour = 1'776'571'200 * kSecond;  // its hour
constexpr std::string_view kBody =
    R"({"five_hour":{"utilization":22.5,"resets_at":"2026-04-19T05:00:00Z"},)"
    R"("seven_day":{"utilization":33,"resets_at":null}})";

template <class T>
constexpr bool kMoveOnly =
    std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(kMoveOnly<satchel::Cascade>);
static_assert(kMoveOnly<satchel::Usage>);

// What happens in a part of the host.
enum class Bend {
  kNothing,
  kNotHandled,
  kThrow,
  kThrowError,
  kThrowTimeout,
  kThrowNoMemory,
  kUnknown
};

void happen(Bend bend) {
  switch (bend) {
    case Bend::kNothing:
      return;
    case Bend::kNotHandled:
      throw satchel::NotHandled();
    case Bend::kThrow:
      throw std::runtime_error("broken");
    case Bend::kThrowError:
      throw satchel::Error(SATCHEL_ERR_IO);
    case Bend::kThrowTimeout:
      throw satchel::Error(SATCHEL_ERR_TIMEOUT);
    case Bend::kThrowNoMemory:
      throw std::bad_alloc();
    case Bend::kUnknown:
      throw satchel::UsageUnknown{SATCHEL_USAGE_ERROR_MISSING_FIELD};
  }
}

// An account, and everything that a cascade may ask of a host about it.
struct Account {
  std::int64_t now = kNow;
  std::string token = "secret";
  int http_status = 200;
  std::string body{kBody};
  std::vector<std::pair<std::string, std::string>> headers;
  bool has_block = true;
  bool has_entries = true;
  std::map<std::int32_t, satchel::UsageFiles::File> files;
  Bend http_bend = Bend::kNothing;
  Bend files_bend = Bend::kNothing;
  Bend token_bend = Bend::kNothing;
  Bend windows_bend = Bend::kNothing;
  int requests = 0;
  int alive = 0;  // parts
  std::string url;
  std::map<std::string, std::string> asked_headers;
  std::uint64_t max_body = 0;
  std::mutex mutex;
};

class Part {
 public:
  explicit Part(Account& account) : account_(account) { ++account_.alive; }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() { --account_.alive; }

 protected:
  Account& account_;
};

class AccountClock final : public satchel::Clock, Part {
 public:
  using Part::Part;
  std::int64_t unix_ns() override { return account_.now; }
  std::int64_t monotonic_ns() override { return account_.now; }
};

class AccountHttp final : public satchel::Http, Part {
 public:
  using Part::Part;
  satchel::HttpAnswer send(const satchel::HttpRequest& request) override {
    const std::lock_guard lock(account_.mutex);
    ++account_.requests;
    account_.url = request.url;
    account_.max_body = request.max_body;
    for (const auto& [name, value] : request.headers) {
      account_.asked_headers[std::string(name)] = value;
    }
    EXPECT_EQ(request.method, "GET");
    EXPECT_TRUE(request.body.empty());
    EXPECT_GE(request.timeout_ms, 1u);
    EXPECT_LE(request.timeout_ms, 2000u);
    happen(account_.http_bend);
    return {account_.http_status, account_.headers, account_.body};
  }
};

class AccountFiles final : public satchel::UsageFiles, Part {
 public:
  using Part::Part;
  std::optional<File> read(std::int32_t file) override {
    const std::lock_guard lock(account_.mutex);
    happen(account_.files_bend);
    const auto found = account_.files.find(file);
    if (found == account_.files.end()) return std::nullopt;
    return found->second;
  }
  void write(std::int32_t file, std::string_view bytes) override {
    const std::lock_guard lock(account_.mutex);
    happen(account_.files_bend);
    account_.files[file] = {std::string(bytes), account_.now};
  }
  void remove(std::int32_t file) override {
    const std::lock_guard lock(account_.mutex);
    happen(account_.files_bend);
    account_.files.erase(file);
  }
};

class AccountCredentials final : public satchel::Credentials, Part {
 public:
  using Part::Part;
  std::string token() override {
    happen(account_.token_bend);
    return account_.token;
  }
};

class AccountTranscripts final : public satchel::Transcripts, Part {
 public:
  using Part::Part;
  std::optional<satchel::TranscriptWindows> windows(std::int64_t now) override {
    EXPECT_EQ(now, account_.now);
    happen(account_.windows_bend);
    if (!account_.has_entries) return std::nullopt;
    satchel::TranscriptWindows windows;
    if (account_.has_block) windows.five_hour = {kHour, {1, 2, 3, 4}};
    windows.seven_day = {10, 20, 30, 40};
    return windows;
  }
};

template <class Call>
satchel_status status_of(Call&& call, int* reason = nullptr) {
  try {
    call();
  } catch (const satchel::Error& error) {
    if (reason != nullptr) *reason = error.reason();
    return error.status();
  }
  return SATCHEL_OK;
}

class CppCascade : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "satchel-cpp-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] satchel::Library library() {
    satchel::Host host;
    host.clock = std::make_unique<AccountClock>(account_);
    host.http = std::make_unique<AccountHttp>(account_);
    return satchel::Library(R"({"log_level":"off"})", std::move(host));
  }
  [[nodiscard]] satchel::CascadeParts parts() {
    satchel::CascadeParts parts;
    parts.config_dirs = {directory_.string()};
    parts.files = std::make_unique<AccountFiles>(account_);
    parts.credentials = std::make_unique<AccountCredentials>(account_);
    parts.transcripts = std::make_unique<AccountTranscripts>(account_);
    return parts;
  }
  // Opened over the account, whatever is bent by then.
  satchel::Cascade opened(std::string_view config = R"({"api_base_url":"http://127.0.0.1:1"})") {
    return satchel::Cascade(library(), parts(), config);
  }
  void write_file(const std::string& name, std::string_view text) const {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
  }

  Account account_;
  fs::path directory_;
};

TEST_F(CppCascade, AnswersFromTheEndpointThenFromTheCache) {
  satchel::Cascade cascade = opened();
  satchel_usage_summary summary = cascade.resolve().summary();
  EXPECT_EQ(summary.source, SATCHEL_USAGE_ENDPOINT);
  EXPECT_EQ(summary.five_hour_utilization, 22.5);
  EXPECT_EQ(summary.seven_day_utilization, 33);
  EXPECT_EQ(summary.seven_day_resets_at, 0);
  EXPECT_EQ(account_.url, "http://127.0.0.1:1/api/oauth/usage");
  EXPECT_EQ(account_.asked_headers["Authorization"], "Bearer secret");
  EXPECT_GT(account_.max_body, kBody.size());

  account_.now += 7 * kSecond;
  const satchel::Usage usage = cascade.resolve();
  EXPECT_EQ(usage.summary().source, SATCHEL_USAGE_CACHE);
  EXPECT_EQ(usage.summary().age, 7 * kSecond);
  EXPECT_EQ(usage.json().substr(0, 17), R"({"source":"cache")");
  EXPECT_EQ(account_.requests, 1);
  EXPECT_EQ(account_.files.size(), 2u);
}

TEST_F(CppCascade, HeadersOfTheHostsAnswersAreAsGood) {
  satchel::Cascade cascade = opened();
  EXPECT_FALSE(cascade.observe({}));
  EXPECT_FALSE(cascade.observe({{"content-type", "application/json"}, {"", ""}}));
  EXPECT_TRUE(cascade.observe({{"anthropic-ratelimit-unified-5h-utilization", "0.5"},
                               {"anthropic-ratelimit-unified-7d-utilization", "0.75"}}));
  const satchel_usage_summary summary = cascade.resolve().summary();
  EXPECT_EQ(summary.source, SATCHEL_USAGE_HEADERS);
  EXPECT_EQ(summary.five_hour_utilization, 50);
  EXPECT_EQ(summary.seven_day_utilization, 75);
  EXPECT_EQ(account_.requests, 0);
}

TEST_F(CppCascade, TheTranscriptsAnswerWithTokens) {
  account_.token_bend = Bend::kUnknown;
  satchel::Cascade cascade = opened();
  satchel_usage_summary summary = cascade.resolve().summary();
  EXPECT_EQ(summary.source, SATCHEL_USAGE_JSONL);
  EXPECT_EQ(summary.error, SATCHEL_USAGE_ERROR_MISSING_FIELD);
  EXPECT_EQ(summary.five_hour_utilization, -1);
  EXPECT_EQ(summary.five_hour_tokens.cache_read, 4u);
  EXPECT_EQ(summary.seven_day_tokens.input, 10u);
  EXPECT_EQ(summary.block_start, kHour);
  account_.has_block = false;
  EXPECT_EQ(cascade.resolve().summary().block_start, 0);
  EXPECT_FALSE(cascade.report());
}

TEST_F(CppCascade, WhatIsNotKnownIsThrownWithItsReason) {
  account_.has_entries = false;
  account_.token.clear();
  satchel::Cascade cascade = opened();
  int reason = 0;
  EXPECT_EQ(status_of([&] { (void)cascade.resolve(); }, &reason), SATCHEL_ERR_UNAVAILABLE);
  EXPECT_EQ(reason, SATCHEL_USAGE_ERROR_EMPTY_TOKEN);
  EXPECT_EQ(satchel::usage_error_name(reason), "EmptyToken");
  EXPECT_EQ(satchel::usage_error_name(SATCHEL_USAGE_ERROR_NONE), "");
  EXPECT_EQ(satchel::usage_error_name(99), "UNKNOWN");
}

struct Case {
  Bend bend;
  std::int32_t why;
};

TEST_F(CppCascade, WhatAPartThrowsIsAnAnswerOfItsKind) {
  constexpr std::array<Case, 5> http = {{{Bend::kNotHandled, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
                                         {Bend::kThrow, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
                                         {Bend::kThrowError, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
                                         {Bend::kThrowNoMemory, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
                                         {Bend::kThrowTimeout, SATCHEL_USAGE_ERROR_TIMEOUT}}};
  for (const Case& each : http) {
    account_.http_bend = each.bend;
    account_.files.clear();
    EXPECT_EQ(opened().resolve().summary().error, each.why) << static_cast<int>(each.bend);
  }
  account_.http_bend = Bend::kNothing;
  constexpr std::array<Case, 5> token = {
      {{Bend::kNotHandled, SATCHEL_USAGE_ERROR_NO_CREDENTIALS},
       {Bend::kThrow, SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED},
       {Bend::kThrowError, SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED},
       {Bend::kThrowNoMemory, SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED},
       {Bend::kUnknown, SATCHEL_USAGE_ERROR_MISSING_FIELD}}};
  for (const Case& each : token) {
    account_.token_bend = each.bend;
    account_.files.clear();
    EXPECT_EQ(opened().resolve().summary().error, each.why) << static_cast<int>(each.bend);
  }
  for (const Bend bend : {Bend::kNotHandled, Bend::kThrow, Bend::kThrowError}) {
    account_.windows_bend = bend;
    EXPECT_EQ(status_of([&] { (void)opened().resolve(); }), SATCHEL_ERR_UNAVAILABLE);
  }
  account_.token_bend = Bend::kNothing;
  for (const Bend bend : {Bend::kNotHandled, Bend::kThrow, Bend::kThrowError}) {
    account_.files_bend = bend;
    EXPECT_EQ(opened().resolve().summary().source, SATCHEL_USAGE_ENDPOINT);
  }
}

TEST_F(CppCascade, WhatTheHostDoesNotHandleTheBuiltInDoes) {
  write_file(".credentials.json", R"({"claudeAiOauth":{"accessToken":"from the file"}})");
  write_file("projects/work/session.jsonl",
             R"({"timestamp":"2026-04-19T04:10:00Z","message":{"id":"m1","model":"m",)"
             R"("usage":{"input_tokens":100,"output_tokens":20}}})"
             "\n");
  account_.token_bend = account_.windows_bend = Bend::kNotHandled;
  account_.http_status = 500;
  satchel::Cascade cascade = opened();
  const satchel_usage_summary summary = cascade.resolve().summary();
  EXPECT_EQ(account_.asked_headers["Authorization"], "Bearer from the file");
  EXPECT_EQ(summary.source, SATCHEL_USAGE_JSONL);
  EXPECT_EQ(summary.error, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
  EXPECT_EQ(summary.seven_day_tokens.input, 100u);
}

TEST_F(CppCascade, BuiltInPartsLookWhereTheyAreTold) {
  write_file("projects/work/session.jsonl",
             R"({"timestamp":"2026-04-19T04:10:00Z","message":{"id":"m1","model":"claude-x",)"
             R"("usage":{"input_tokens":100,"output_tokens":20}}})"
             "\n");
  satchel::CascadeParts over;
  over.cache_dir = (directory_ / "cache").string();
  over.config_dirs = {directory_.string()};
  satchel::Cascade cascade(library(), std::move(over));
  EXPECT_FALSE(fs::exists(directory_ / "cache"));
  EXPECT_EQ(cascade.resolve().summary().seven_day_tokens.output, 20u);
  satchel_report_range range = SATCHEL_REPORT_RANGE_INIT;
  range.utc_offset_s = 3600;
  EXPECT_NE(cascade.report(range).value().find("claude-x"), std::string::npos);
  range.utc_offset_s = 1;
  EXPECT_EQ(status_of([&] { (void)cascade.report(range); }), SATCHEL_ERR_ARGUMENT);

  // No directory at all is not the same as those of the environment.
  satchel::CascadeParts nowhere;
  nowhere.cache_dir = (directory_ / "cache").string();
  nowhere.config_dirs.emplace();
  satchel::Cascade without(library(), std::move(nowhere));
  int reason = 0;
  EXPECT_EQ(status_of([&] { (void)without.resolve(); }, &reason), SATCHEL_ERR_UNAVAILABLE);
  EXPECT_EQ(reason, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
}

// What a done was given.
struct News {
  std::optional<satchel_usage_summary> summary;
  satchel_status status = SATCHEL_OK;
  int reason = 0;
};

satchel::Cascade::Done into(std::promise<News>& promise) {
  return [&promise](std::optional<satchel::Usage> usage, const satchel::Error* error) {
    News news;
    if (usage) news.summary = usage->summary();
    if (error != nullptr) {
      news.status = error->status();
      news.reason = error->reason();
    }
    promise.set_value(news);
  };
}

News await(std::promise<News>& promise) {
  std::future<News> future = promise.get_future();
  if (future.wait_for(std::chrono::minutes(1)) != std::future_status::ready) std::abort();
  return future.get();
}

TEST_F(CppCascade, ADoneIsGivenTheUsageOrTheError) {
  satchel::Cascade cascade = opened();
  std::promise<News> first;
  cascade.resolve_start(into(first));
  const News usage = await(first);
  ASSERT_TRUE(usage.summary);
  EXPECT_EQ(usage.summary->source, SATCHEL_USAGE_ENDPOINT);
  EXPECT_EQ(usage.status, SATCHEL_OK);

  account_.now += 300 * kSecond;
  account_.http_status = 401;
  account_.has_entries = false;
  std::promise<News> second;
  cascade.resolve_start(into(second));
  const News error = await(second);
  EXPECT_FALSE(error.summary);
  EXPECT_EQ(error.status, SATCHEL_ERR_UNAVAILABLE);
  EXPECT_EQ(error.reason, SATCHEL_USAGE_ERROR_UNAUTHORIZED);
}

TEST_F(CppCascade, WhatADoneThrowsIsDropped) {
  satchel::Cascade cascade = opened();
  std::promise<News> promise;
  cascade.resolve_start([](std::optional<satchel::Usage>, const satchel::Error*) {
    throw std::runtime_error("of no interest");
  });
  cascade.resolve_start(into(promise));
  EXPECT_TRUE(await(promise).summary);
}

TEST_F(CppCascade, ADoneThatIsNotStartedIsForgotten) {
  satchel::Cascade cascade = opened();
  cascade.close();
  auto held = std::make_shared<int>(0);
  EXPECT_EQ(status_of([&] {
              cascade.resolve_start(
                  [held](std::optional<satchel::Usage>, const satchel::Error*) { ++*held; });
            }),
            SATCHEL_ERR_HANDLE);
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST_F(CppCascade, AUsageOutlivesItsCascade) {
  std::optional<satchel::Usage> usage;
  {
    satchel::Cascade cascade = opened();
    EXPECT_EQ(account_.alive, 5);
    usage = cascade.resolve();
  }
  EXPECT_EQ(account_.alive, 0);
  EXPECT_EQ(usage->summary().source, SATCHEL_USAGE_ENDPOINT);
  const satchel::Usage moved = std::move(*usage);
  EXPECT_EQ(moved.summary().five_hour_utilization, 22.5);
  EXPECT_EQ(status_of([&] { (void)usage->json(); }), SATCHEL_ERR_HANDLE);
}

TEST_F(CppCascade, PartsGoWhenOpeningFails) {
  EXPECT_EQ(status_of([&] { (void)opened(R"({"no_such_key":1})"); }), SATCHEL_ERR_CONFIG);
  EXPECT_EQ(account_.alive, 0);
  satchel::CascadeParts bad = parts();
  bad.cache_dir = std::string("a\0b", 3);
  EXPECT_EQ(status_of([&] { const satchel::Cascade cascade(library(), std::move(bad)); }),
            SATCHEL_ERR_ARGUMENT);
  EXPECT_EQ(account_.alive, 0);
}

TEST_F(CppCascade, ClosedItThrows) {
  satchel::Cascade cascade = opened();
  EXPECT_NE(cascade.metrics().find("satchel_cascade_requests_total"), std::string::npos);
  cascade.close();
  EXPECT_EQ(account_.alive, 0);
  EXPECT_EQ(status_of([&] { (void)cascade.resolve(); }), SATCHEL_ERR_HANDLE);
  EXPECT_EQ(status_of([&] { (void)cascade.observe({}); }), SATCHEL_ERR_HANDLE);
  EXPECT_EQ(status_of([&] { (void)cascade.metrics(); }), SATCHEL_ERR_HANDLE);
}

// An answer with headers of its own: Retry-After reaches the cascade.
TEST_F(CppCascade, HeadersOfAnHttpAnswerAreRead) {
  account_.http_status = 429;
  account_.headers = {{"X-Other", "1"}, {"retry-after", "77"}};
  satchel::Cascade cascade = opened();
  EXPECT_EQ(cascade.resolve().summary().error, SATCHEL_USAGE_ERROR_RATE_LIMITED);
  account_.now += 76 * kSecond;
  (void)cascade.resolve();
  EXPECT_EQ(account_.requests, 1);
  account_.now += kSecond;
  (void)cascade.resolve();
  EXPECT_EQ(account_.requests, 2);
}

// More than is taken: no answer, whatever it says.
TEST_F(CppCascade, AnAnswerThatIsTooLongIsNone) {
  account_.body.append(100'000, ' ');
  EXPECT_EQ(opened().resolve().summary().error, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
}

}  // namespace
