// prompt_query: query strings, and bodies to put the marker into.
#include "forms.hpp"

namespace vectors {

namespace {

using Kind = satchel::QueryBreakpoint::Kind;

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kAbsent:
      return "absent";
    case Kind::kMarker:
      return "marker";
    case Kind::kInvalid:
      return "invalid";
  }
  return "";
}

// A whole request reads the same parameter.
void compare_request(Verdict& verdict, satchel::PromptCache& cache, const std::string& target,
                     bool invalid, const std::string& forward_target) {
  std::optional<satchel::Request> request =
      cache.request({"POST", target, {}, {}, "principal-of-the-vectors"});
  if (!request) return verdict.fail("request", "PASS_THROUGH for a POST to a chat completion");
  const satchel::Forward answer = request->body(R"({"messages":[]})");
  verdict.equal("request rejected", invalid, answer.action == satchel::Forward::Action::kReject);
  if (answer.action != satchel::Forward::Action::kReject) {
    verdict.equal("request target", forward_target, answer.target);
    verdict.equal("request target_changed", target != forward_target, answer.target_changed);
    return;
  }
  verdict.equal("request http_status", 400, answer.http_status);
  simdjson::dom::parser parser;
  const std::string body(answer.body);
  verdict.equal("request error.code", std::string_view("invalid_cache_breakpoint"),
                required_bytes(parser.parse(body)["error"].value(), "code"));
}

void compare_query(Verdict& verdict, Json test_case, satchel::PromptCache& cache) {
  const std::string forward_target = required_bytes(test_case, "forward_target");
  const std::optional<std::string> query = bytes(test_case, "query");
  std::string target = forward_target.substr(0, forward_target.find('?'));
  if (query) target += "?" + *query;

  const satchel::QueryBreakpoint got = satchel::query_breakpoint(target);
  verdict.equal("forward_target", forward_target, got.target.view());

  const Json result = test_case["result"];
  const bool marker = result.is_object() && member(result, "marker");
  const bool invalid = result.is_object() && present(result, "invalid");
  if (!marker && !invalid && required_bytes(test_case, "result") != "absent") {
    throw std::runtime_error("unknown result " + simdjson::minify(result));
  }
  verdict.equal("result",
                std::string_view(marker    ? "marker"
                                 : invalid ? "invalid"
                                           : "absent"),
                kind_name(got.kind));
  if (invalid) verdict.equal("result.invalid", required_bytes(result, "invalid"), got.value);
  if (marker) {
    const std::optional<satchel::Buffer> marked = satchel::query_mark("{}");
    verdict.equal(
        "result.marker",
        canonical("{\"cache_control\":" + simdjson::minify(*member(result, "marker")) + "}"),
        marked ? canonical(marked->view()) : "unchanged");
  }
  compare_request(verdict, cache, target, invalid, forward_target);
}

// What an outcome of the reference is in our terms.
std::string_view status_for(std::string_view outcome) {
  if (outcome == "Applied") return "OK";
  if (outcome == "BodyFieldWins" || outcome == "NotAnObject") return "UNCHANGED";
  if (outcome == "not_json") return "ERR_JSON";
  throw std::runtime_error("unknown outcome \"" + std::string(outcome) + "\"");
}

void compare_inject(Verdict& verdict, Json test_case) {
  const std::string body = required_bytes(test_case, "body");
  std::optional<satchel::Buffer> marked;
  const auto error = thrown_by([&] { marked = satchel::query_mark(body); });
  verdict.equal("outcome", status_for(required_bytes(test_case, "outcome")),
                std::string_view(error    ? error->status_name()
                                 : marked ? "OK"
                                          : "UNCHANGED"));
  if (!error && present(test_case, "body_after")) {
    verdict.equal("body_after, canonical", required_bytes(test_case, "body_after"),
                  canonical(marked ? marked->view() : body));
  }
}

bool recognises(Json root) {
  return root.is_object() && (member(root, "queries") || member(root, "inject"));
}

Tally run(Json root, const satchel::Library& library, const Options& /*options*/) {
  Tally tally;
  satchel::PromptCache cache(library);
  std::size_t number = 0;
  if (const auto queries = member(root, "queries")) {
    for (const Json test_case : array(*queries)) {
      compare(tally, "queries case " + std::to_string(number++),
              [&](Verdict& verdict) { compare_query(verdict, test_case, cache); });
    }
  }
  number = 0;
  if (const auto inject = member(root, "inject")) {
    for (const Json test_case : array(*inject)) {
      compare(tally, "inject case " + std::to_string(number++),
              [&](Verdict& verdict) { compare_inject(verdict, test_case); });
    }
  }
  return tally;
}

}  // namespace

const Form kPromptQuery = {"prompt_query", recognises, run};

}  // namespace vectors
