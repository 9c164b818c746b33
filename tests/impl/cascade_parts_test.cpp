// The cascade's parts around the order of steps: files, turns, credentials, asking, configuration.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "cascade/config.hpp"
#include "cascade/credentials.hpp"
#include "cascade/disk_files.hpp"
#include "cascade/fetch.hpp"
#include "cascade/fetch_turn.hpp"
#include "cascade/known_files.hpp"
#include "cascade/observations.hpp"
#include "cascade/places.hpp"
#include "surroundings.hpp"

namespace satchel::cascade {
namespace {

using core::CapturedLog;
using core::ManualClock;
using core::TemporaryDirectory;
using core::Timestamp;

void write(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// ------------------------------------------------------------------------------------------ files

TEST(DiskFiles, AFileIsPrivateAndReplacedAtOnce) {
  TemporaryDirectory scratch;
  DiskFiles files(scratch / "a/b");
  ASSERT_TRUE(files.write(UsageFile::kCache, "one"));
  const std::string path = scratch / "a/b/usage.json";
  std::ifstream old(path);
  ASSERT_TRUE(files.write(UsageFile::kCache, "two"));
  std::string still;
  old >> still;
  EXPECT_EQ(still, "one");
  EXPECT_EQ(read(path), "two");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat((scratch / "a/b").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  int left = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch / "a/b")) {
    ++left;
  }
  EXPECT_EQ(left, 1);
}

TEST(DiskFiles, ADirectoryReachedByALinkIsTakenAFileThatIsOneIsNot) {
  TemporaryDirectory scratch;
  std::filesystem::create_directory(scratch / "real");
  std::filesystem::create_directory_symlink(scratch / "real", scratch / "link");
  DiskFiles files(scratch / "link");
  ASSERT_TRUE(files.write(UsageFile::kLock, "x"));
  EXPECT_EQ(read(scratch / "real/usage.lock"), "x");
  write(scratch / "elsewhere", "secret");
  std::filesystem::create_symlink(scratch / "elsewhere", scratch / "real/usage.json");
  EXPECT_FALSE(files.read(UsageFile::kCache, nullptr));
  ASSERT_TRUE(files.write(UsageFile::kCache, "y"));
  EXPECT_EQ(read(scratch / "elsewhere"), "secret");
}

TEST(DiskFiles, WhatIsNoFileOrTooLargeCannotBeReadAndBlocksNobody) {
  TemporaryDirectory scratch;
  DiskFiles files(scratch.path());
  EXPECT_EQ(files.read(UsageFile::kCache, nullptr)->state, FileContent::State::kAbsent);
  ASSERT_EQ(::mkfifo((scratch / "usage.json").c_str(), 0600), 0);
  EXPECT_FALSE(files.read(UsageFile::kCache, nullptr));
  std::filesystem::create_directory(scratch / "usage.lock");
  EXPECT_FALSE(files.read(UsageFile::kLock, nullptr));
  write(scratch / "satchel-observed.json", std::string(kUsageFileMaxBytes + 1, 'x'));
  EXPECT_FALSE(files.read(UsageFile::kObserved, nullptr));
}

TEST(DiskFiles, WhatCannotBeWrittenLeavesTheOldFileAndNothingElse) {
  TemporaryDirectory scratch;
  DiskFiles files(scratch.path());
  std::filesystem::create_directory(scratch / "usage.json");
  const core::Result<void> written = files.write(UsageFile::kCache, "x");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("usage.json"), std::string::npos);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
  DiskFiles nowhere("/dev/null/x");
  EXPECT_FALSE(nowhere.write(UsageFile::kLock, "x"));
}

TEST(DiskFiles, AFileThatWasJustWrittenMayBeWrittenToAgainUnseen) {
  TemporaryDirectory scratch;
  DiskFiles files(scratch.path());
  // This process may be held up between the two, so that the file is young no more.
  bool young = false;
  for (int attempt = 0; attempt < 1000 && !young; ++attempt) {
    write(scratch / "usage.json", "one");
    const core::Result<FileContent> content = files.read(UsageFile::kCache, nullptr);
    ASSERT_EQ(content->bytes, "one");
    young = !content->stamp;
  }
  EXPECT_TRUE(young);
}

TEST(DiskFiles, AFileThatIsAsItWasIsNotReadAgain) {
  TemporaryDirectory scratch;
  DiskFiles files(scratch.path());
  write(scratch / "usage.json", "one");
  std::optional<core::FileStamp> stamp;
  ASSERT_TRUE(core::eventually([&] {
    stamp = files.read(UsageFile::kCache, nullptr)->stamp;
    return stamp.has_value();
  }));
  EXPECT_EQ(files.read(UsageFile::kCache, &*stamp)->state, FileContent::State::kUnchanged);
  write(scratch / "usage.json", "two");
  EXPECT_EQ(files.read(UsageFile::kCache, &*stamp)->bytes, "two");
  std::filesystem::remove(scratch / "usage.json");
  EXPECT_EQ(files.read(UsageFile::kCache, &*stamp)->state, FileContent::State::kAbsent);
}

TEST(KnownFiles, FailuresAreLoggedOnceAndCountAsAMiss) {
  TemporaryDirectory scratch;
  ManualClock clock;
  CapturedLog log;
  std::filesystem::create_directory(scratch / "usage.json");
  KnownFiles files(std::make_unique<DiskFiles>(scratch.path()), clock, log);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(files.cache());
    files.write_cache({}, {0, 0});
    files.write_lock({});
  }
  EXPECT_EQ(log.count("counts as missing"), 1u);
  EXPECT_EQ(log.count("cannot write"), 1u);
  std::filesystem::remove(scratch / "usage.json");
  files.write_cache({}, {5, 0});
  EXPECT_EQ(log.count("can be written again"), 1u);
  EXPECT_EQ(files.cache()->cached_at, (Timestamp{5, 0}));
}

// Answers from memory, and counts what it was asked to read whole.
class StampedFiles final : public UsageFiles {
 public:
  std::string text;
  core::FileStamp stamp;
  int whole_reads = 0;

  core::Result<FileContent> read(UsageFile /*file*/, const core::FileStamp* known) override {
    if (known != nullptr && *known == stamp)
      return FileContent{FileContent::State::kUnchanged, {}, {}, {}};
    ++whole_reads;
    return FileContent{FileContent::State::kRead, text, {}, stamp};
  }
  core::Result<void> write(UsageFile /*file*/, std::string_view /*bytes*/) override { return {}; }
  core::Result<void> remove(UsageFile /*file*/) override { return {}; }
};

TEST(KnownFiles, AnUnchangedFileIsUnderstoodOnce) {
  ManualClock clock;
  CapturedLog log;
  auto owned = std::make_unique<StampedFiles>();
  StampedFiles& stamped = *owned;
  stamped.text = R"({"blocked_until":5})";
  KnownFiles files(std::move(owned), clock, log);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(files.lock({0, 0})->blocked_until, 5);
  EXPECT_EQ(stamped.whole_reads, 1);
  stamped.text = R"({"blocked_until":6})";
  stamped.stamp.size = 1;
  EXPECT_EQ(files.lock({0, 0})->blocked_until, 6);
  EXPECT_EQ(files.lock({-86'399, 0})->blocked_until, 1) << "the bound moves with the clock";
}

Observation seen_at(std::int64_t ns, const char* five_hour) {
  const std::vector<HeaderView> headers = {
      {"anthropic-ratelimit-unified-5h-utilization", five_hour}};
  return *observe_headers(headers, core::timestamp_of_ns(ns));
}

TEST(Observations, AnOlderOneNeverReplacesANewerOne) {
  TemporaryDirectory scratch;
  ManualClock clock;
  CapturedLog log;
  KnownFiles files(std::make_unique<DiskFiles>(scratch.path()), clock, log);
  Observations one(files, clock);
  Observations other(files, clock);
  const std::int64_t now = clock.unix_ns();
  one.add(seen_at(now - 10, "0.2"));
  other.add(seen_at(now - 20, "0.1"));  // a thread that was held up
  EXPECT_EQ(files.observation()->five_hour.utilization, 20);
  EXPECT_EQ(other.newest()->five_hour.utilization, 20);
  one.add(seen_at(now - 30, "0.3"));
  EXPECT_EQ(one.newest()->five_hour.utilization, 20);
}

TEST(Observations, OneFromAClockThatIsAheadIsReplaced) {
  TemporaryDirectory scratch;
  ManualClock clock;
  CapturedLog log;
  KnownFiles files(std::make_unique<DiskFiles>(scratch.path()), clock, log);
  const std::int64_t now = clock.unix_ns();
  Observations(files, clock).add(seen_at(now + 10, "0.9"));
  Observations(files, clock).add(seen_at(now, "0.1"));
  EXPECT_EQ(files.observation()->five_hour.utilization, 10);
}

// ------------------------------------------------------------------------------------------ turns

std::int64_t in_ms(std::int64_t ms) {
  return core::system_clock().monotonic_ns() + ms * core::kNanosPerMilli;
}

TEST(FetchTurns, OneAtATimeInAProcessAndBesideIt) {
  TemporaryDirectory scratch;
  CapturedLog log;
  FetchTurns here(scratch.path(), log);
  FetchTurns there(scratch.path(), log);  // as another process: a descriptor of its own
  auto turn = here.wait(in_ms(0));
  ASSERT_NE(turn, nullptr);
  EXPECT_EQ(here.wait(in_ms(5)), nullptr);
  EXPECT_EQ(there.wait(in_ms(5)), nullptr);
  turn.reset();
  EXPECT_NE(there.wait(in_ms(1000)), nullptr);
  EXPECT_NE(here.wait(in_ms(1000)), nullptr);
  EXPECT_EQ(log.all(), "");
}

TEST(FetchTurns, ThreadsTakeTurns) {
  TemporaryDirectory scratch;
  CapturedLog log;
  FetchTurns turns(scratch.path(), log);
  int inside = 0;
  int most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) {
        const auto turn = turns.wait(in_ms(60'000));
        ASSERT_NE(turn, nullptr);
        most = std::max(most, ++inside);
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
}

TEST(FetchTurns, StopEndsEveryWait) {
  TemporaryDirectory scratch;
  CapturedLog log;
  FetchTurns turns(scratch.path(), log);
  auto turn = turns.wait(in_ms(0));
  std::thread waiting([&] { EXPECT_EQ(turns.wait(in_ms(600'000)), nullptr); });
  turns.stop();
  waiting.join();
}

TEST(FetchTurns, WithoutALockFileTheTurnIsTakenAndSaidOnce) {
  CapturedLog log;
  FetchTurns turns("/dev/null/nowhere", log);
  EXPECT_NE(turns.wait(in_ms(0)), nullptr);
  EXPECT_NE(turns.wait(in_ms(0)), nullptr);
  EXPECT_EQ(log.count("other processes may ask the endpoint at the same time"), 1u);
}

TEST(FetchTurnKillTest, AKilledProcessGivesItsTurnBack) {
  TemporaryDirectory scratch;
  CapturedLog log;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    FetchTurns turns(scratch.path(), log);
    const auto turn = turns.wait(in_ms(1000));
    if (::write(ready[1], turn ? "y" : "n", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char taken = 'n';
  ASSERT_EQ(::read(ready[0], &taken, 1), 1);
  ASSERT_EQ(taken, 'y');
  FetchTurns turns(scratch.path(), log);
  EXPECT_EQ(turns.wait(in_ms(10)), nullptr);
  ::kill(child, SIGKILL);
  EXPECT_NE(turns.wait(in_ms(60'000)), nullptr);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

// ------------------------------------------------------------------------------------ credentials

UsageError error_of(std::string_view text) { return read_credentials(text).error; }

TEST(Credentials, ReadsTheToken) {
  const TokenAnswer answer = read_credentials(
      R"({"x":1,"claudeAiOauth":{"accessToken":"tok\u0065n","scopes":["a"],"expiresAt":5}})");
  EXPECT_EQ(answer.error, UsageError::kNone);
  EXPECT_EQ(answer.token.view(), "token");
}

TEST(Credentials, EachDefectHasItsName) {
  EXPECT_EQ(error_of("{nope"), UsageError::kParseError);
  EXPECT_EQ(error_of(""), UsageError::kParseError);
  EXPECT_EQ(error_of("{} x"), UsageError::kParseError);
  EXPECT_EQ(error_of("5"), UsageError::kParseError);
  EXPECT_EQ(error_of("{}"), UsageError::kMissingField);
  EXPECT_EQ(error_of("[]"), UsageError::kParseError);
  EXPECT_EQ(error_of("[null]"), UsageError::kMissingField);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":null})"), UsageError::kMissingField);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":"x"})"), UsageError::kParseError);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"scopes":[]}})"), UsageError::kMissingField);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":null}})"), UsageError::kEmptyToken);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":""}})"), UsageError::kEmptyToken);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":7}})"), UsageError::kParseError);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":"t","scopes":[1]}})"),
            UsageError::kParseError);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":"t","scopes":null}})"),
            UsageError::kParseError);
  EXPECT_EQ(error_of(R"({"claudeAiOauth":{"accessToken":"t","accessToken":"t"}})"),
            UsageError::kParseError);
}

TEST(Credentials, TheFirstFileThatIsThereCounts) {
  TemporaryDirectory scratch;
  CapturedLog log;
  for (const char* dir : {"a", "b", "c"}) std::filesystem::create_directory(scratch / dir);
  const auto credentials =
      make_file_credentials({scratch / "a", scratch / "b", scratch / "c"}, log);
  EXPECT_EQ(credentials->token().error, UsageError::kNoCredentials);
  write(scratch / "c/.credentials.json", R"({"claudeAiOauth":{"accessToken":"third"}})");
  EXPECT_EQ(credentials->token().token.view(), "third");
  write(scratch / "b/.credentials.json", "{}");
  EXPECT_EQ(credentials->token().error, UsageError::kMissingField);
  write(scratch / "a/.credentials.json", R"({"claudeAiOauth":{"accessToken":"first"}})");
  EXPECT_EQ(credentials->token().token.view(), "first");
  EXPECT_EQ(log.count("first"), 0u);
}

TEST(Credentials, WhatCannotBeReadIsAnIoError) {
  TemporaryDirectory scratch;
  CapturedLog log;
  const auto credentials = make_file_credentials({scratch.path()}, log);
  const std::string path = scratch / ".credentials.json";
  write(path, std::string(1'000'001, ' '));
  EXPECT_EQ(credentials->token().error, UsageError::kIoError);
  const std::string fits = R"({"claudeAiOauth":{"accessToken":"t"}})";
  write(path, fits + std::string(1'000'000 - fits.size(), ' '));
  EXPECT_EQ(credentials->token().token.view(), "t");
  write(path, "\xff");
  EXPECT_EQ(credentials->token().error, UsageError::kIoError);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(credentials->token().error, UsageError::kIoError);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(credentials->token().error, UsageError::kIoError);
}

// ----------------------------------------------------------------------------------------- asking

class OneAnswer final : public core::Transport {
 public:
  core::HttpAnswer answer;
  std::optional<core::Error> error;
  std::string asked;

  core::Result<core::HttpAnswer> send(const core::HttpRequest& request) override {
    asked = std::string(request.method) + " " + std::string(request.url);
    for (const auto& [name, value] : request.headers) {
      asked += "\n" + std::string(name) + ": " + std::string(value);
    }
    if (error) return *error;
    return answer;
  }
  void stop() override {}
};

Fetched fetch(OneAnswer& transport, core::Log& log) {
  const core::Secret token("tok");
  return fetch_usage(transport, {usage_url("https://h"), "satchel/x", 1}, token, {1000, 5}, log);
}

TEST(Fetch, AsksAsTheReferenceDoes) {
  OneAnswer transport;
  CapturedLog log;
  transport.answer = {200, {}, "{}"};
  EXPECT_EQ(fetch(transport, log).error, UsageError::kNone);
  EXPECT_EQ(transport.asked,
            "GET https://h/api/oauth/usage\nAuthorization: Bearer tok\n"
            "anthropic-beta: oauth-2025-04-20\nUser-Agent: satchel/x");
  EXPECT_EQ(log.count("tok"), 0u);
}

TEST(Fetch, TheUrlHasOneSlash) {
  EXPECT_EQ(usage_url("https://h"), "https://h/api/oauth/usage");
  EXPECT_EQ(usage_url("https://h//"), "https://h/api/oauth/usage");
  EXPECT_EQ(usage_url("https://h/x/"), "https://h/x/api/oauth/usage");
}

TEST(Fetch, EachStatusHasItsMeaning) {
  struct Case {
    int status;
    const char* body;
    UsageError error;
  };
  for (const Case& wanted : std::initializer_list<Case>{{199, "{}", UsageError::kNetworkError},
                                                        {200, "{}", UsageError::kNone},
                                                        {204, "", UsageError::kParseError},
                                                        {299, "{}", UsageError::kNone},
                                                        {302, "{}", UsageError::kNetworkError},
                                                        {401, "{}", UsageError::kUnauthorized},
                                                        {403, "{}", UsageError::kForbidden},
                                                        {404, "{}", UsageError::kNetworkError},
                                                        {429, "{}", UsageError::kRateLimited},
                                                        {500, "", UsageError::kNetworkError}}) {
    OneAnswer transport;
    CapturedLog log;
    transport.answer = {wanted.status, {}, wanted.body};
    EXPECT_EQ(fetch(transport, log).error, wanted.error) << wanted.status;
  }
}

TEST(Fetch, NoAnswerIsATimeoutOrANetworkError) {
  OneAnswer transport;
  CapturedLog log;
  transport.error = core::Error{core::Status::kTimeout, "slow", 0, 0};
  EXPECT_EQ(fetch(transport, log).error, UsageError::kTimeout);
  transport.error = core::Error{core::Status::kIo, "refused", 0, 0};
  EXPECT_EQ(fetch(transport, log).error, UsageError::kNetworkError);
}

TEST(Fetch, RetryAfterIsReadAsTheReferenceDoes) {
  const Timestamp now{1'795'170'600, 0};  // Fri, 20 Nov 2026 10:30:00 GMT
  EXPECT_EQ(retry_after_s("120", now), 120);
  EXPECT_EQ(retry_after_s("  77 ", now), 77);
  EXPECT_EQ(retry_after_s("+5", now), 5);
  EXPECT_EQ(retry_after_s("0", now), 0);
  EXPECT_EQ(retry_after_s("18446744073709551615", now), 86'400);
  EXPECT_EQ(retry_after_s("18446744073709551616", now), std::nullopt);
  EXPECT_EQ(retry_after_s("-5", now), std::nullopt);
  EXPECT_EQ(retry_after_s("1.5", now), std::nullopt);
  EXPECT_EQ(retry_after_s("", now), std::nullopt);
  EXPECT_EQ(retry_after_s("soon", now), std::nullopt);
  EXPECT_EQ(retry_after_s("Fri, 20 Nov 2026 10:40:00 GMT", now), 600);
  EXPECT_EQ(retry_after_s("Friday, 20-Nov-26 10:45:00 GMT", now), 900);
  EXPECT_EQ(retry_after_s("Fri Nov 20 10:45:00 2026", now), 900);
  EXPECT_EQ(retry_after_s("Sun, 20 Dec 2026 10:40:00 GMT", now), 86'400);
  EXPECT_EQ(retry_after_s("Fri, 20 Nov 2026 10:20:00 GMT", now), std::nullopt);
  EXPECT_EQ(retry_after_s("Fri, 20 Nov 2026 10:30:00 GMT", now), 0);
  EXPECT_EQ(retry_after_s("Fri, 20 Nov 2026 10:30:10 GMT", {now.seconds, 1}), 9);
}

// --------------------------------------------------------------------------- configuration, places

std::string config_error(std::string_view text) {
  const core::Result<Config> config = read_cascade_config(text);
  return config ? "" : config.error().message;
}

TEST(CascadeConfig, IsReadStrictly) {
  EXPECT_EQ(config_error(""), "");
  EXPECT_EQ(config_error(R"({"transcripts":{"depth":1,"dedup":"first","owner":"any"}})"), "");
  EXPECT_EQ(config_error(R"({"transcripts":{"depth":"all"}})"), "");
  EXPECT_NE(config_error(R"({"transcripts":{"depth":"some"}})").find("transcripts.depth"),
            std::string::npos);
  EXPECT_NE(config_error(R"({"transcripts":{"depth":0}})").find("transcripts.depth"),
            std::string::npos);
  EXPECT_NE(config_error(R"({"transcripts":{"dedup":"last"}})").find("transcripts.dedup"),
            std::string::npos);
  EXPECT_NE(config_error(R"({"timeout":1})").find("timeout"), std::string::npos);
  EXPECT_NE(config_error(R"({"timeout_ms":0})").find("timeout_ms"), std::string::npos);
}

TEST(CascadeConfig, TheTokenIsNotSentInTheClearByMistake) {
  EXPECT_EQ(config_error(R"({"api_base_url":"https://proxy.example/x"})"), "");
  EXPECT_EQ(config_error(R"({"api_base_url":"http://127.0.0.1:8080"})"), "");
  EXPECT_EQ(config_error(R"({"api_base_url":"http://localhost"})"), "");
  EXPECT_EQ(config_error(R"({"api_base_url":"http://[::1]:1/"})"), "");
  EXPECT_EQ(config_error(R"({"api_base_url":"http://proxy.example","plain_http":true})"), "");
  for (const char* url :
       {"http://proxy.example", "http://127.0.0.1@evil.example", "http://localhost.evil.example",
        "http://127.evil.example", "ftp://h", "api.anthropic.com", "https://", "http:///x", ""}) {
    EXPECT_NE(config_error(R"({"api_base_url":")" + std::string(url) + "\"}").find("api_base_url"),
              std::string::npos)
        << url;
  }
}

TEST(Places, FollowTheEnvironment) {
  EXPECT_EQ(default_cache_dir({"", "", "/c", "/h"}), "/c/linesmith");
  EXPECT_EQ(default_cache_dir({"", "", "", "/h"}), "/h/.cache/linesmith");
  EXPECT_EQ(default_cache_dir({"/x", "/y", "", ""}), "");
  using Dirs = std::vector<std::string>;
  EXPECT_EQ(default_config_dirs({"/x", "/y", "", "/h"}), (Dirs{"/x", "/y/claude", "/h/.claude"}));
  EXPECT_EQ(default_config_dirs({"", "", "", "/h"}), (Dirs{"/h/.config/claude", "/h/.claude"}));
  EXPECT_EQ(default_config_dirs({"", "/y", "", ""}), (Dirs{"/y/claude"}));
  EXPECT_EQ(default_config_dirs({}), Dirs{});
  EXPECT_EQ(core::absolute_path("/x"), "/x");
  EXPECT_EQ(core::absolute_path(""), "");
  EXPECT_EQ(core::absolute_path("x"), std::filesystem::current_path().string() + "/x");
}

}  // namespace
}  // namespace satchel::cascade
