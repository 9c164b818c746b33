// prompt_classify: conversations. Each step's body is classified against what earlier steps have
// committed. Every conversation runs three times: by satchel_prompt_classify, where all of the
// outcome can be seen, with a tokenizer by callbacks and with one that is a service; and through
// whole requests, which must say the same.
#include "forms.hpp"
#include "recorded_tokenizer.hpp"

namespace vectors {

namespace {

constexpr std::uint32_t kFlushMs = 60'000;

// All keys that begin with sk- belong to one principal, others to none.
class OnePrincipal final : public satchel::Principals {
 public:
  std::optional<std::string> resolve(std::string_view api_key) override {
    if (!api_key.starts_with("sk-")) return std::nullopt;
    return "principal-of-the-vectors";
  }
};

class AllModelsButOne final : public satchel::Models {
 public:
  explicit AllModelsButOne(std::uint32_t min_prefix_tokens)
      : min_prefix_tokens_(min_prefix_tokens) {}
  std::optional<satchel::ModelSettings> resolve(std::string_view model) override {
    return satchel::ModelSettings{model != "m-off", min_prefix_tokens_};
  }

 private:
  std::uint32_t min_prefix_tokens_;
};

struct Step {
  bool forget = false;
  std::string api_key;  // empty: none was sent
  std::string model;
  std::string body;
  bool commit = false;
  Json expect;
  std::vector<Json> calls;
};

Step read_step(Json step) {
  Step read;
  const std::string op = required_bytes(step, "op");
  if (op == "forget") {
    read.forget = true;
    return read;
  }
  if (op != "classify") throw std::runtime_error("unknown op \"" + op + "\"");
  if (present(step, "api_key")) read.api_key = bytes(step, "api_key").value_or("");
  read.model = required_bytes(step, "model");
  read.body = required_bytes(step, "body");
  read.commit = boolean(step, "commit");
  read.expect = step["expect"].value();
  if (const auto calls = member(step, "tokenizer")) {
    for (const Json call : array(*calls)) read.calls.push_back(call);
  }
  return read;
}

bool counts_exactly(Json conversation) {
  for (const Json step : array(conversation, "steps")) {
    const auto expect = member(step, "expect");
    if (expect && member(*expect, "render_total")) return true;
    const auto calls = member(step, "tokenizer");
    if (!calls) continue;
    for (const Json call : array(*calls)) {
      if (call["path"].get_string().value() == "/v1/render") return true;
    }
  }
  return false;
}

enum class TokenizerIs { kCallbacks, kService };

// A prompt cache with an empty index, and the service it asks.
struct Cache {
  std::shared_ptr<Recording> recording = std::make_shared<Recording>();
  satchel::Library library;
  satchel::PromptCache prompt_cache;

  Cache(Json conversation, TokenizerIs tokenizer)
      : library(R"({"log_level":"off"})", host()),
        prompt_cache(library, config(conversation, tokenizer), parts(conversation, tokenizer)) {}

 private:
  [[nodiscard]] satchel::Host host() const {
    satchel::Host host;
    host.http = std::make_unique<RecordedService>(recording);
    return host;
  }
  static std::string config(Json conversation, TokenizerIs tokenizer) {
    std::string config = policy_config(conversation);
    config.pop_back();
    if (tokenizer == TokenizerIs::kService) {
      config += std::string(R"(,"tokenizer":{"url":")") + kServiceUrl + "\"}";
    }
    const bool exact = present(conversation, "render_counting")
                           ? boolean(conversation, "render_counting")
                           : counts_exactly(conversation);
    return config + ",\"exact\":" + (exact ? "true" : "false") + "}";
  }
  [[nodiscard]] satchel::PromptParts parts(Json conversation, TokenizerIs tokenizer) const {
    satchel::PromptParts parts;
    parts.principals = std::make_unique<OnePrincipal>();
    parts.models = std::make_unique<AllModelsButOne>(
        static_cast<std::uint32_t>(unsigned_integer(conversation, "min_prefix_tokens")));
    if (tokenizer == TokenizerIs::kCallbacks) {
      parts.tokenizer = std::make_unique<RecordedTokenizer>(recording);
    }
    return parts;
  }
};

void compare_counts(Verdict& verdict, Json expect, const satchel_cache_usage& got) {
  verdict.equal("read", unsigned_integer(expect, "read"), got.read);
  verdict.equal("creation_5m", unsigned_integer(expect, "creation_5m"), got.creation_5m);
  verdict.equal("creation_1h", unsigned_integer(expect, "creation_1h"), got.creation_1h);
  verdict.equal("creation_24h", unsigned_integer(expect, "creation_24h"), got.creation_24h);
}

void compare_writes(Verdict& verdict, Json expect, const satchel::Outcome& outcome,
                    const satchel_outcome_summary& summary) {
  const auto writes = array(expect, "writes");
  verdict.equal("writes, how many", writes.size(), summary.entry_count);
  if (writes.size() != summary.entry_count) return;
  std::size_t i = 0;
  for (const Json write : writes) {
    const satchel_entry entry = outcome.entry(i);
    const std::string field = "writes[" + std::to_string(i) + "] ";
    verdict.equal(field + "hash", required_bytes(write, "hash"), hex(entry.hash));
    verdict.equal(field + "tokens", unsigned_integer(write, "tokens"),
                  entry.cumulative_token_count);
    verdict.equal(field + "ttl", required_bytes(write, "ttl"), tier_name(entry.tier));
    verdict.equal(field + "tokenizer_version", required_bytes(write, "tokenizer_version"),
                  satchel::text(summary.tokenizer_version));
    ++i;
  }
}

void classify_step(Verdict& verdict, const Step& step, Cache& cache) {
  cache.recording->begin_step(step.calls);
  satchel::RequestHead who;
  who.api_key = step.api_key;
  satchel::Outcome outcome = cache.prompt_cache.classify(who, step.model, step.body);
  cache.recording->end_step(verdict);

  const satchel_outcome_summary got = outcome.summary();
  verdict.equal("active", boolean(step.expect, "active"), got.active != 0);
  verdict.equal("degraded", boolean(step.expect, "degraded"), got.degraded != 0);
  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  usage.read = got.read;
  usage.creation_5m = got.creation_5m;
  usage.creation_1h = got.creation_1h;
  usage.creation_24h = got.creation_24h;
  compare_counts(verdict, step.expect, usage);
  const std::optional<Json> refresh = member(step.expect, "refresh");
  verdict.equal("refresh", refresh ? refresh->get_string().value() : "none",
                std::string_view(got.has_refresh != 0 ? hex(got.refresh_hash) : "none"));
  compare_writes(verdict, step.expect, outcome, got);
  if (present(step.expect, "render_total")) {
    const std::optional<Json> total = member(step.expect, "render_total");
    verdict.equal("render_total", total ? std::to_string(total->get_uint64().value()) : "none",
                  got.has_render_total != 0 ? std::to_string(got.render_total) : "none");
  }

  if (step.commit) {
    outcome.commit();
    verdict.equal("committed in time", true, cache.prompt_cache.flush(kFlushMs));
  }
}

// The usage that the client of a whole request reads.
void compare_response(Verdict& verdict, Json expect, const std::string& body) {
  simdjson::dom::parser parser;
  const Json usage = parser.parse(body)["usage"].value();
  if (!boolean(expect, "active")) {
    verdict.equal("response has our counts", false,
                  present(usage, "cache_read_input_tokens") || present(usage, "cache_creation"));
    return;
  }
  const Json creation = usage["cache_creation"].value();
  satchel_cache_usage got = SATCHEL_CACHE_USAGE_INIT;
  got.read = unsigned_integer(usage, "cache_read_input_tokens");
  got.creation_5m = unsigned_integer(creation, "ephemeral_5m_input_tokens");
  got.creation_1h = unsigned_integer(creation, "ephemeral_1h_input_tokens");
  got.creation_24h = unsigned_integer(creation, "ephemeral_24h_input_tokens");
  verdict.set_context("in the response, ");
  compare_counts(verdict, expect, got);
}

bool writes_anything(Json expect) {
  return array(expect, "writes").size() > 0 || member(expect, "refresh");
}

void respond(Verdict& verdict, const Step& step, satchel::Request& request, Cache& cache) {
  // More prompt tokens than any prompt here has, so that no count is capped.
  const std::string answer = R"({"usage":{"prompt_tokens":1000000000,"completion_tokens":1}})";
  request.response(200, "application/json");
  std::string body(request.write(answer));
  body += request.end();
  const satchel_request_result got = request.result();
  const std::int32_t commit =
      writes_anything(step.expect) ? SATCHEL_COMMIT_HANDED_OVER : SATCHEL_COMMIT_NOTHING;
  verdict.equal("commit", commit, got.commit);
  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  usage.read = got.read;
  usage.creation_5m = got.creation_5m;
  usage.creation_1h = got.creation_1h;
  usage.creation_24h = got.creation_24h;
  compare_counts(verdict, step.expect, usage);
  compare_response(verdict, step.expect, body);
  verdict.equal("committed in time", true, cache.prompt_cache.flush(kFlushMs));
}

void request_step(Verdict& verdict, const Step& step, Cache& cache) {
  cache.recording->begin_step(step.calls);
  satchel::RequestHead who;
  who.method = "POST";
  who.target = "/v1/chat/completions";
  who.api_key = step.api_key;
  std::optional<satchel::Request> request = cache.prompt_cache.request(who);
  if (!request) return verdict.fail("request", "PASS_THROUGH for a POST to a chat completion");
  if (request->body(step.body).action == satchel::Forward::Action::kSend) {
    request->classify();
    const satchel_request_result got = request->result();
    verdict.equal("active", boolean(step.expect, "active"), got.active != 0);
    verdict.equal("degraded", boolean(step.expect, "degraded"), got.degraded != 0);
    if (step.commit) {
      respond(verdict, step, *request, cache);
    } else {
      request->abort();
      verdict.equal("commit", std::int32_t{SATCHEL_COMMIT_VETO_ABORTED}, request->result().commit);
    }
  } else {
    // Sent back, or passed on as no prompt of ours: the index must not have been touched.
    verdict.equal("a body that a request does not take is worth anything", false,
                  writes_anything(step.expect));
  }
  cache.recording->end_step(verdict);
}

using RunStep = void (*)(Verdict&, const Step&, Cache&);

// Stops at the first step that differs: what follows builds on it.
void run_conversation(Verdict& verdict, Json conversation, const std::string& way,
                      TokenizerIs tokenizer, RunStep run_step) {
  Cache cache(conversation, tokenizer);
  std::size_t number = 0;
  for (const Json recorded : array(conversation, "steps")) {
    const Step step = read_step(recorded);
    verdict.set_context(way + ", step " + std::to_string(number++) + ": ");
    if (step.forget) {
      cache.prompt_cache.forget();
      continue;
    }
    run_step(verdict, step, cache);
    if (!verdict.passed()) return;
  }
}

// A request takes the model from its body; the two are the same in all that the reference recorded.
bool models_are_in_bodies(Json conversation) {
  simdjson::dom::parser parser;
  for (const Json recorded : array(conversation, "steps")) {
    const Step step = read_step(recorded);
    if (step.forget) continue;
    const auto model = parser.parse(step.body)["model"].get_string();
    if (model.error() == simdjson::SUCCESS && model.value_unsafe() != step.model) return false;
  }
  return true;
}

bool recognises(Json root) {
  return is_list_of(root, [](Json first) { return member(first, "steps").has_value(); });
}

Tally run(Json root, const satchel::Library& /*library*/, const Options& options) {
  Tally tally;
  std::size_t number = 0;
  for (const Json conversation : array(root)) {
    const std::string name = "conversation " + std::to_string(number++);
    if (options.skip_render && counts_exactly(conversation)) {
      tally.skip();
      continue;
    }
    compare(tally, name, [&](Verdict& verdict) {
      using enum TokenizerIs;
      run_conversation(verdict, conversation, "classify", kCallbacks, classify_step);
      if (!verdict.passed()) return;
      run_conversation(verdict, conversation, "classify with a service", kService, classify_step);
      if (!verdict.passed() || !models_are_in_bodies(conversation)) return;
      run_conversation(verdict, conversation, "request", kCallbacks, request_step);
    });
  }
  return tally;
}

}  // namespace

const Form kPromptClassify = {"prompt_classify", recognises, run};

}  // namespace vectors
