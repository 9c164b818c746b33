// satchel.hpp over the shared object: what C++ adds to the contract, which is who releases what and
// how errors travel. What the calls themselves promise is tested elsewhere.
#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "satchel/satchel.hpp"

namespace {

constexpr std::string_view kMarked =
    R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello there",)"
    R"("cache_control":{"type":"ephemeral"}}]}]})";
constexpr std::string_view kBadTtl =
    R"({"messages":[{"role":"user","content":"x"}],"cache_control":{"type":"ephemeral","ttl":"9h"}})";
constexpr std::string_view kNoFloor = R"({"models":{"*":{"min_prefix_tokens":0}}})";
constexpr std::uint32_t kFlushMs = 60'000;

template <class T>
constexpr bool kMoveOnly =
    std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(kMoveOnly<satchel::Library>);
static_assert(kMoveOnly<satchel::PromptCache>);
static_assert(kMoveOnly<satchel::Request>);
static_assert(kMoveOnly<satchel::Prompt>);
static_assert(kMoveOnly<satchel::Outcome>);
static_assert(kMoveOnly<satchel::UsageFilter>);
static_assert(kMoveOnly<satchel::Buffer>);

satchel::Library quiet_library() { return satchel::Library(R"({"log_level":"off"})"); }

satchel::RequestHead chat() {
  satchel::RequestHead head;
  head.method = "POST";
  head.target = "/v1/chat/completions";
  head.principal = "somebody";
  return head;
}

// The status that `call` throws, OK if it does not.
template <class Call>
satchel_status status_of(Call&& call) {
  try {
    call();
  } catch (const satchel::Error& error) {
    return error.status();
  }
  return SATCHEL_OK;
}

TEST(CppWrapper, AnUnknownConfigurationKeyIsThrownWithItsName) {
  try {
    const satchel::Library library(R"({"no_such_key":1})");
    FAIL() << "it was accepted";
  } catch (const satchel::Error& error) {
    EXPECT_EQ(error.status(), SATCHEL_ERR_CONFIG);
    EXPECT_STREQ(error.status_name(), "ERR_CONFIG");
    EXPECT_NE(error.message().find("no_such_key"), std::string_view::npos) << error.what();
    EXPECT_FALSE(error.rejected());
  }
}

TEST(CppWrapper, ABadMarkerIsThrownWithItsReason) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library);
  try {
    cache.validate(kBadTtl);
    FAIL() << "it was accepted";
  } catch (const satchel::Error& error) {
    EXPECT_TRUE(error.rejected());
    EXPECT_EQ(error.reason(), SATCHEL_MARKER_INVALID_TTL);
    EXPECT_EQ(error.message(), "invalid cache_control ttl: \"9h\"");
  }
  EXPECT_EQ(status_of([&] { (void)cache.parse(kBadTtl); }), SATCHEL_REJECTED);
  EXPECT_EQ(status_of([&] { (void)cache.parse("no json"); }), SATCHEL_ERR_JSON);
}

TEST(CppWrapper, AMovedHandleWorksAndTheOneMovedFromSaysSo) {
  satchel::Library library = quiet_library();
  satchel::PromptCache first(library);
  satchel::PromptCache second = std::move(first);
  EXPECT_EQ(second.parse(kMarked).block_count(), 1u);
  EXPECT_EQ(status_of([&] { (void)first.parse(kMarked); }), SATCHEL_ERR_HANDLE);  // NOLINT: moved
  first = std::move(second);
  EXPECT_EQ(first.parse(kMarked).block_count(), 1u);
}

TEST(CppWrapper, ACacheOutlivesItsLibrary) {
  satchel::Library library = quiet_library();
  satchel::PromptCache cache(library);
  library.close();
  EXPECT_FALSE(library);
  EXPECT_EQ(cache.parse(kMarked).breakpoint_count(), 1u);
}

TEST(CppWrapper, ABufferKeepsItsBytesWhenItMoves) {
  satchel::Buffer first = satchel::json_canonical(R"({"b":1, "a":2})");
  satchel::Buffer second = std::move(first);
  EXPECT_EQ(second.view(), R"({"a":2,"b":1})");
  EXPECT_EQ(first.view(), "");  // NOLINT: moved
  first = std::move(second);
  EXPECT_EQ(first.str(), R"({"a":2,"b":1})");
}

TEST(CppWrapper, APromptShowsBlocksAndBreakpoints) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library);
  const satchel::Prompt prompt = cache.parse(kMarked);
  ASSERT_EQ(prompt.block_count(), 1u);
  EXPECT_EQ(satchel::text(prompt.block(0).role), "user");
  EXPECT_EQ(satchel::text(prompt.block(0).text), "hello there");
  ASSERT_EQ(prompt.breakpoint_count(), 1u);
  EXPECT_EQ(prompt.breakpoint(0).message, 0);
  EXPECT_EQ(status_of([&] { (void)prompt.block(1); }), SATCHEL_ERR_ARGUMENT);
}

TEST(CppWrapper, ForwardingTellsAnEditedBodyFromTheOriginal) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library);
  const satchel::ForwardedBody edited = cache.forward(kMarked);
  ASSERT_TRUE(edited.body);
  EXPECT_TRUE(edited.had_markers);
  EXPECT_EQ(edited.body->view().find("cache_control"), std::string_view::npos);
  const satchel::ForwardedBody untouched = cache.forward(edited.body->view());
  EXPECT_FALSE(untouched.body);
  EXPECT_FALSE(untouched.had_markers);
}

TEST(CppWrapper, ARequestIsSentPassedThroughOrRejected) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library);
  using Action = satchel::Forward::Action;

  satchel::RequestHead other = chat();
  other.target = "/v1/models";
  EXPECT_FALSE(cache.request(other));

  std::optional<satchel::Request> request = cache.request(chat());
  ASSERT_TRUE(request);
  const satchel::Forward sent = request->body(kMarked);
  EXPECT_EQ(sent.action, Action::kSend);
  EXPECT_TRUE(sent.body_changed);
  EXPECT_EQ(sent.target, "/v1/chat/completions");
  EXPECT_EQ(status_of([&] { request->body(kMarked); }), SATCHEL_ERR_STATE);

  request = cache.request(chat());
  EXPECT_EQ(request->body("no json").action, Action::kPassThrough);

  request = cache.request(chat());
  const satchel::Forward rejected = request->body(kBadTtl);
  EXPECT_EQ(rejected.action, Action::kReject);
  EXPECT_EQ(rejected.http_status, 400);
  EXPECT_EQ(rejected.content_type, "application/json");
  EXPECT_EQ(rejected.reason, SATCHEL_MARKER_INVALID_TTL);
  EXPECT_NE(rejected.body.find("invalid_cache_control"), std::string_view::npos);
  EXPECT_FALSE(rejected.message.empty());
}

TEST(CppWrapper, ACommittedRequestIsReadByTheNext) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library, kNoFloor);
  const auto send = [&] {
    std::optional<satchel::Request> request = cache.request(chat());
    request->body(kMarked);
    request->classify();
    request->response(200, "application/json");
    std::string answer(request->write(R"({"usage":{"prompt_tokens":100}})"));
    answer += request->end();
    EXPECT_NE(answer.find("cache_read_input_tokens"), std::string::npos) << answer;
    return request->result();
  };
  const satchel_request_result first = send();
  EXPECT_EQ(first.commit, SATCHEL_COMMIT_HANDED_OVER);
  EXPECT_EQ(first.creation_5m, 2u);  // eleven bytes, four a token
  ASSERT_TRUE(cache.flush(kFlushMs));
  EXPECT_EQ(send().read, 2u);
  EXPECT_EQ(cache.index_counts().hits, 1u);
  ASSERT_TRUE(cache.flush(kFlushMs));
  cache.forget();
  EXPECT_EQ(send().read, 0u);
}

TEST(CppWrapper, ARequestIsClassifiedBesideTheUpstreamCall) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library, kNoFloor);
  std::optional<satchel::Request> request = cache.request(chat());
  request->body(kMarked);
  EXPECT_EQ(status_of([&] { (void)request->descriptor(); }), SATCHEL_ERR_STATE);
  request->no_wait();
  request->classify_start();
  pollfd ended{request->descriptor(), POLLIN, 0};
  request->response(200, "application/json");
  std::string answer(request->write(R"({"usage":{"prompt_tokens":100}})"));
  answer += request->end();
  while (request->pending()) {
    ASSERT_EQ(poll(&ended, 1, 60'000), 1);
    answer += request->end();
  }
  EXPECT_NE(answer.find("\"cache_creation_input_tokens\":2"), std::string::npos) << answer;
  EXPECT_NE(cache.metrics().find("requests_total{outcome=\"create_only\"} 1\n"), std::string::npos);
}

TEST(CppWrapper, AnAbortedRequestCommitsNothing) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache cache(library, kNoFloor);
  std::optional<satchel::Request> request = cache.request(chat());
  request->body(kMarked);
  request->classify();
  request->abort();
  EXPECT_EQ(request->result().commit, SATCHEL_COMMIT_VETO_ABORTED);
  request.reset();
  ASSERT_TRUE(cache.flush(kFlushMs));
  EXPECT_EQ(cache.index_counts().entries_written, 0u);
}

TEST(CppWrapper, AFilterScrubsWithoutUsageAndInjectsWithIt) {
  constexpr std::string_view kBody = R"({"usage":{"prompt_tokens":9,"cache_discount":1}})";
  satchel::UsageFilter scrub(SATCHEL_BODY_JSON);
  std::string out(scrub.write(kBody));
  out += scrub.end();
  EXPECT_EQ(out, R"({"usage":{"prompt_tokens":9}})");
  EXPECT_TRUE(scrub.saw().changed);
  EXPECT_TRUE(scrub.saw().usage);
  EXPECT_FALSE(scrub.saw().error_frame);

  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  usage.read = 4;
  satchel::UsageFilter inject(SATCHEL_BODY_JSON, &usage);
  out = inject.write(kBody);
  out += inject.end();
  EXPECT_NE(out.find("\"cache_read_input_tokens\":4"), std::string::npos) << out;
}

TEST(CppWrapper, TheQueryParameterIsReadAndTakenOut) {
  using Kind = satchel::QueryBreakpoint::Kind;
  satchel::QueryBreakpoint found =
      satchel::query_breakpoint("/c?a=1&cacheBreakpoint=lastUserMessage");
  EXPECT_EQ(found.kind, Kind::kMarker);
  EXPECT_EQ(found.target.view(), "/c?a=1");
  found = satchel::query_breakpoint("/c?cacheBreakpoint=x");
  EXPECT_EQ(found.kind, Kind::kInvalid);
  EXPECT_EQ(found.value, "x");
  EXPECT_EQ(satchel::query_breakpoint("/c").kind, Kind::kAbsent);
  EXPECT_TRUE(satchel::query_mark("{}"));
  EXPECT_FALSE(satchel::query_mark("[]"));
}

// ------------------------------------------------------------------------------------ host's parts

// Counts the lives of whatever derives from it.
class Counted {
 public:
  explicit Counted(int& alive) : alive_(alive) { ++alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  virtual ~Counted() { --alive_; }

 private:
  int& alive_;
};

class CountedModels final : public satchel::Models, Counted {
 public:
  using Counted::Counted;
  std::optional<satchel::ModelSettings> resolve(std::string_view model) override {
    if (model == "off") return std::nullopt;
    return satchel::ModelSettings{true, 0};
  }
};

class WordTokenizer : public satchel::Tokenizer {
 public:
  std::vector<satchel::TokenizerModel> versions(std::string_view model) override {
    return {{std::string(model), "words-1", ""}};
  }
  std::vector<std::uint32_t> tokenize(std::string_view /*model*/,
                                      const satchel::Segments& segments) override {
    std::vector<std::uint32_t> counts;
    std::uint32_t total = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      total += 1;
      for (const char c : segments[i]) total += c == ' ' ? 1 : 0;
      counts.push_back(total);
    }
    return counts;
  }
};

// As a template that begins every prompt with a hundred tokens.
class TemplateTokenizer final : public WordTokenizer {
 public:
  explicit TemplateTokenizer(satchel::RenderCounts& counts) : counts_(counts) {}
  std::vector<satchel::TokenizerModel> versions(std::string_view model) override {
    return {{std::string(model), "words-1", "template-1"}};
  }
  [[nodiscard]] bool renders() const override { return true; }
  satchel::RenderCounts render(std::string_view /*model*/,
                               const satchel::RenderRequest& request) override {
    EXPECT_EQ(request.messages.front(), '[');
    EXPECT_TRUE(request.tools.empty());
    EXPECT_GT(request.timeout_ms, 0U);
    if (counts_.failure != 0 || !counts_.prefixes.empty()) return counts_;
    satchel::RenderCounts counts;
    for (const satchel_prefix& prefix : request.prefixes) {
      counts.prefixes.push_back(100 + prefix.message);
    }
    counts.total = 200;
    return counts;
  }

 private:
  satchel::RenderCounts& counts_;
};

class ThrowingTokenizer final : public WordTokenizer {
 public:
  std::vector<std::uint32_t> tokenize(std::string_view /*model*/,
                                      const satchel::Segments& /*segments*/) override {
    throw std::runtime_error("the service is away");
  }
};

class BuiltInPrincipals final : public satchel::Principals {
 public:
  std::optional<std::string> resolve(std::string_view /*api_key*/) override {
    throw satchel::NotHandled{};
  }
};

class StoppedClock final : public satchel::Clock {
 public:
  std::int64_t unix_ns() override { return 1'000'000'000'000; }
  std::int64_t monotonic_ns() override { return 7; }
};

struct Line {
  int level;
  std::string component;
  std::string message;
};

class KeptLog final : public satchel::Log {
 public:
  explicit KeptLog(std::shared_ptr<std::vector<Line>> lines) : lines_(std::move(lines)) {}
  void write(int level, std::string_view component, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    lines_->push_back({level, std::string(component), std::string(message)});
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<std::vector<Line>> lines_;
};

TEST(CppWrapper, ATokenizerMayRender) {
  const satchel::Library library = quiet_library();
  satchel::RenderCounts counts;
  satchel::PromptParts parts;
  parts.tokenizer = std::make_unique<TemplateTokenizer>(counts);
  const char* const config =
      R"({"exact":true,"models":{"*":{"enabled":true,"min_prefix_tokens":1}}})";
  satchel::PromptCache cache(library, config, std::move(parts));
  satchel_outcome_summary found = cache.classify(chat(), "m", kMarked).summary();
  EXPECT_EQ(found.has_render_total, 1);
  EXPECT_EQ(found.render_total, 200U);
  EXPECT_GE(found.creation_5m + found.creation_1h + found.creation_24h, 100U);

  counts.failure = SATCHEL_RENDER_FAILED;
  found = cache.classify(chat(), "m", kMarked).summary();
  EXPECT_EQ(found.has_render_total, 0);
  EXPECT_EQ(found.degraded, 0);
  counts.failure = SATCHEL_RENDER_UNMAPPED;
  EXPECT_EQ(cache.classify(chat(), "m", kMarked).summary().degraded, 1);
  counts = {0, 5, {-7}};  // no count
  EXPECT_EQ(cache.classify(chat(), "m", kMarked).summary().degraded, 1);
}

TEST(CppWrapper, PartsLiveAsLongAsTheCacheAndNotLonger) {
  int alive = 0;
  const satchel::Library library = quiet_library();
  {
    satchel::PromptParts parts;
    parts.models = std::make_unique<CountedModels>(alive);
    satchel::PromptCache cache(library, {}, std::move(parts));
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(cache.classify(chat(), "on", kMarked).summary().active, 1);
    EXPECT_EQ(cache.classify(chat(), "off", kMarked).summary().active, 0);
  }
  EXPECT_EQ(alive, 0);
}

TEST(CppWrapper, PartsAreDestroyedWhenOpeningFails) {
  int alive = 0;
  const satchel::Library library = quiet_library();
  satchel::PromptParts parts;
  parts.models = std::make_unique<CountedModels>(alive);
  EXPECT_EQ(status_of([&] {
              const satchel::PromptCache cache(library, R"({"no_such_key":1})", std::move(parts));
            }),
            SATCHEL_ERR_CONFIG);
  EXPECT_EQ(alive, 0);
}

// Cannot even say whether it renders.
class UnsureTokenizer final : public WordTokenizer {
 public:
  [[nodiscard]] bool renders() const override { throw std::runtime_error("not sure"); }
};

TEST(CppWrapper, PartsAreDestroyedWhenOneOfThemThrows) {
  int alive = 0;
  const satchel::Library library = quiet_library();
  satchel::PromptParts parts;
  parts.models = std::make_unique<CountedModels>(alive);
  parts.tokenizer = std::make_unique<UnsureTokenizer>();
  EXPECT_THROW(satchel::PromptCache(library, {}, std::move(parts)), std::runtime_error);
  EXPECT_EQ(alive, 0);
}

// Entries by scope and hash; out of reach for the first commits.
class MapIndex final : public satchel::Index {
 public:
  struct State {
    std::mutex mutex;
    std::map<std::string, satchel_entry> entries;
    int commits_to_fail = 2;
  };
  explicit MapIndex(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::vector<satchel_entry> find(const satchel_scope& scope, const std::uint8_t* hashes,
                                  std::size_t hash_count, std::int64_t live_after) override {
    const std::lock_guard lock(state_->mutex);
    std::vector<satchel_entry> found;
    for (std::size_t i = 0; i < hash_count; ++i) {
      const auto at = state_->entries.find(key(scope, hashes + 32 * i));
      if (at != state_->entries.end() && at->second.expires_at > live_after) {
        found.push_back(at->second);
      }
    }
    return found;
  }

  bool commit(const satchel_commit& commit) override {
    const std::lock_guard lock(state_->mutex);
    if (state_->commits_to_fail-- > 0) throw satchel::Error(SATCHEL_ERR_UNAVAILABLE);
    for (std::size_t i = 0; i < commit.entry_count; ++i) {
      state_->entries[key(*commit.scope, commit.entries[i].hash)] = commit.entries[i];
    }
    if (commit.refresh_hash == nullptr) return false;
    const auto at = state_->entries.find(key(*commit.scope, commit.refresh_hash));
    if (at == state_->entries.end()) return false;
    at->second.expires_at = commit.refresh_expires_at;
    return true;
  }

  void clear() override {
    const std::lock_guard lock(state_->mutex);
    state_->entries.clear();
  }

 private:
  static std::string key(const satchel_scope& scope, const std::uint8_t* hash) {
    return std::string(scope.id, scope.id + sizeof scope.id) + std::string(hash, hash + 32);
  }
  const std::shared_ptr<State> state_;
};

TEST(CppWrapper, TheHostsIndexKeepsTheEntries) {
  const satchel::Library library = quiet_library();
  const auto state = std::make_shared<MapIndex::State>();
  const auto open = [&] {
    satchel::PromptParts parts;
    parts.index = std::make_unique<MapIndex>(state);
    return satchel::PromptCache(library, R"({"models":{"*":{"min_prefix_tokens":1}}})",
                                std::move(parts));
  };
  satchel::PromptCache first = open();
  satchel::Outcome outcome = first.classify(chat(), "m", kMarked);
  EXPECT_EQ(outcome.summary().read, 0U);
  outcome.commit();
  ASSERT_TRUE(first.flush(60'000));
  EXPECT_EQ(first.index_counts().write_retries, 2U);
  satchel::PromptCache second = open();
  EXPECT_GT(second.classify(chat(), "m", kMarked).summary().read, 0U);
  second.forget();
  EXPECT_EQ(first.classify(chat(), "m", kMarked).summary().read, 0U);
}

TEST(CppWrapper, TheHostsTokenizerCounts) {
  const satchel::Library library = quiet_library();
  satchel::PromptParts parts;
  parts.tokenizer = std::make_unique<WordTokenizer>();
  satchel::PromptCache cache(library, kNoFloor, std::move(parts));
  const satchel::Outcome outcome = cache.classify(chat(), "m", kMarked);
  EXPECT_EQ(outcome.summary().creation_5m, 2u);
  EXPECT_EQ(satchel::text(outcome.summary().tokenizer_version), "words-1");
  ASSERT_EQ(outcome.summary().entry_count, 1u);
  EXPECT_EQ(outcome.entry(0).cumulative_token_count, 2u);
}

TEST(CppWrapper, APartThatThrowsDegradesAndIsLogged) {
  auto lines = std::make_shared<std::vector<Line>>();
  satchel::Host host;
  host.log = std::make_unique<KeptLog>(lines);
  const satchel::Library library({}, std::move(host));
  satchel::PromptParts parts;
  parts.tokenizer = std::make_unique<ThrowingTokenizer>();
  satchel::PromptCache cache(library, kNoFloor, std::move(parts));
  const satchel_outcome_summary summary = cache.classify(chat(), "m", kMarked).summary();
  EXPECT_EQ(summary.active, 1);
  EXPECT_EQ(summary.degraded, 1);
  EXPECT_EQ(summary.entry_count, 0u);
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_EQ(lines->front().level, SATCHEL_LOG_WARN);
  EXPECT_FALSE(lines->front().component.empty());
  EXPECT_FALSE(lines->front().message.empty());
}

TEST(CppWrapper, NotHandledAsksForTheBuiltIn) {
  const satchel::Library library = quiet_library();
  satchel::PromptParts parts;
  parts.principals = std::make_unique<BuiltInPrincipals>();
  satchel::PromptCache cache(library, kNoFloor, std::move(parts));
  satchel::RequestHead who;
  who.api_key = "sk-test";
  const satchel::Outcome outcome = cache.classify(who, "m", kMarked);
  EXPECT_EQ(satchel::text(outcome.summary().principal).substr(0, 4), "key-");
}

TEST(CppWrapper, TheHostsClockSetsExpiry) {
  satchel::Host host;
  host.clock = std::make_unique<StoppedClock>();
  const satchel::Library library({}, std::move(host));
  satchel::PromptCache cache(library, kNoFloor);
  const satchel::Outcome outcome = cache.classify(chat(), "m", kMarked);
  ASSERT_EQ(outcome.summary().entry_count, 1u);
  EXPECT_EQ(outcome.entry(0).expires_at, 1'000'000'000'000 + 300'000'000'000);
}

// Closes its own cache from inside a call on it.
class ClosingModels final : public satchel::Models {
 public:
  explicit ClosingModels(satchel::PromptCache*& cache) : cache_(cache) {}
  std::optional<satchel::ModelSettings> resolve(std::string_view /*model*/) override {
    status_ = status_of([&] { cache_->close(); });
    return satchel::ModelSettings{status_ == SATCHEL_ERR_BUSY, 0};
  }

 private:
  satchel::PromptCache*& cache_;
  satchel_status status_ = SATCHEL_OK;
};

TEST(CppWrapper, ACacheIsNotClosedFromInsideItsOwnCallback) {
  const satchel::Library library = quiet_library();
  satchel::PromptCache* inside = nullptr;
  satchel::PromptParts parts;
  parts.models = std::make_unique<ClosingModels>(inside);
  satchel::PromptCache cache(library, {}, std::move(parts));
  inside = &cache;
  EXPECT_EQ(cache.classify(chat(), "m", kMarked).summary().active, 1) << "close() did not say BUSY";
  cache.close();
  EXPECT_EQ(status_of([&] { (void)cache.parse(kMarked); }), SATCHEL_ERR_HANDLE);
}

}  // namespace
