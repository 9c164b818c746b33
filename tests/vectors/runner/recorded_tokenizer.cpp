#include "recorded_tokenizer.hpp"

#include <exception>
#include <utility>

#include "forms.hpp"

namespace vectors {

namespace {

std::string text_or_empty(Json object, std::string_view name) {
  const std::optional<Json> found = member(object, name);
  return found ? std::string(found->get_string().value()) : std::string();
}

std::string render_body(std::string_view model, const satchel::RenderRequest& request) {
  std::string body = R"({"virtual_model":")" + std::string(model) + R"(","messages":)";
  body += request.messages;
  if (!request.tools.empty()) body.append(",\"tools\":").append(request.tools);
  body += R"(,"add_generation_prompt":true,"return_rendered":false,"prefixes":[)";
  for (const satchel_prefix& prefix : request.prefixes) {
    if (body.back() == '}') body += ',';
    body += '{';
    const std::pair<const char*, std::int64_t> members[] = {{"tools", prefix.tools},
                                                            {"message", prefix.message},
                                                            {"block", prefix.message_block},
                                                            {"tool_call", prefix.tool_call}};
    for (const auto& [name, value] : members) {
      if (value < 0) continue;
      if (body.back() != '{') body += ',';
      body += "\"" + std::string(name) + "\":" + std::to_string(value);
    }
    body += '}';
  }
  return body + "]}";
}

// What the codes in a refusal mean to a host that hands them on.
std::int32_t failure_of(std::uint64_t status, std::string_view code) {
  if (status == 400) return SATCHEL_RENDER_FAILED;
  if (status == 422 && code == "NO_CHAT_TEMPLATE") return SATCHEL_RENDER_NO_TEMPLATE;
  if (status == 422 && code == "UNMAPPED_MODEL") return SATCHEL_RENDER_UNMAPPED;
  return 0;
}

[[noreturn]] void fail_as_service() { throw satchel::Error(SATCHEL_ERR_CALLBACK); }

}  // namespace

void Recording::begin_step(std::vector<Json> calls) {
  const std::lock_guard lock(mutex_);
  calls_ = std::move(calls);
  made_ = 0;
  problems_.clear();
}

void Recording::end_step(Verdict& verdict) {
  const std::lock_guard lock(mutex_);
  for (const std::string& problem : problems_) verdict.fail("tokenizer", problem);
  verdict.equal("tokenizer calls made", calls_.size(), made_);
}

Json Recording::next(std::string_view method, std::string_view path) {
  const std::string asked = std::string(method) + " " + std::string(path);
  if (made_ >= calls_.size()) {
    problems_.push_back("call not recorded: " + asked);
    fail_as_service();
  }
  current_ = calls_[made_++];
  const std::string recorded =
      text_or_empty(current_, "method") + " " + text_or_empty(current_, "path");
  if (recorded != asked) {
    problems_.push_back("recorded call " + std::to_string(made_ - 1) + " is " + recorded +
                        ", asked for " + asked);
    fail_as_service();
  }
  return current_;
}

// Nothing but an answer of status 200 in the agreed shape counts; simdjson's exceptions are the
// service's failure as well.
std::vector<satchel::TokenizerModel> Recording::versions() {
  const std::lock_guard lock(mutex_);
  const Json call = next("GET", "/v1/models");
  if (unsigned_integer(call, "status") != 200) fail_as_service();
  std::vector<satchel::TokenizerModel> found;
  for (const Json model : array(call["response"].value(), "models")) {
    found.push_back({text_or_empty(model, "alias"), text_or_empty(model, "tokenizer_version"),
                     text_or_empty(model, "template_version")});
  }
  return found;
}

std::vector<std::uint32_t> Recording::tokenize(std::string_view model,
                                               const satchel::Segments& segments) {
  const std::lock_guard lock(mutex_);
  const Json call = next("POST", "/v1/tokenize");
  compare_request(call["request"], model, segments);
  if (unsigned_integer(call, "status") != 200) fail_as_service();
  std::vector<std::uint32_t> counts;
  for (const Json count : array(call["response"].value(), "cumulative")) {
    counts.push_back(static_cast<std::uint32_t>(count.get_uint64().value()));
  }
  return counts;
}

satchel::RenderCounts Recording::render(std::string_view model,
                                        const satchel::RenderRequest& request) {
  const std::lock_guard lock(mutex_);
  const Json call = next("POST", "/v1/render");
  compare_body(call["request"], render_body(model, request));
  const std::uint64_t status = unsigned_integer(call, "status");
  satchel::RenderCounts counts;
  if (status != 200) {
    counts.failure = failure_of(status, text_or_empty(call["response"].value(), "code"));
    if (counts.failure == 0) fail_as_service();
    return counts;
  }
  counts.total = static_cast<std::uint32_t>(unsigned_integer(call["response"].value(), "total"));
  for (const Json count : array(call["response"].value(), "prefix_counts")) {
    counts.prefixes.push_back(count.is_null() ? SATCHEL_NOT_COUNTED : count.get_int64().value());
  }
  return counts;
}

satchel::HttpAnswer Recording::send(const satchel::HttpRequest& request) {
  const std::lock_guard lock(mutex_);
  const std::string_view base = kServiceUrl;
  if (!request.url.starts_with(base)) problems_.push_back("asked " + std::string(request.url));
  const Json call = next(request.method, request.url.substr(base.size()));
  if (request.method == "POST") compare_body(call["request"], request.body);
  satchel::HttpAnswer answer;
  answer.status = static_cast<std::int32_t>(unsigned_integer(call, "status"));
  // One that is overloaded is asked again, which the reference did not when this was recorded.
  if (answer.status == 503) answer.status = 500;
  answer.body = simdjson::minify(call["response"].value());
  return answer;
}

void Recording::compare_body(Json request, std::string_view body) {
  std::string asked;
  try {
    asked = canonical(body);
  } catch (const std::exception& no_json) {
    problems_.push_back("call " + std::to_string(made_ - 1) + " sends no JSON: " + no_json.what());
    return;
  }
  Verdict differences;
  differences.set_context("call " + std::to_string(made_ - 1) + " ");
  differences.equal("body", canonical(simdjson::minify(request)), asked);
  problems_.insert(problems_.end(), differences.problems().begin(), differences.problems().end());
}

void Recording::compare_request(Json request, std::string_view model,
                                const satchel::Segments& segments) {
  Verdict differences;
  differences.set_context("call " + std::to_string(made_ - 1) + " ");
  differences.equal("members", std::size_t{2}, request.get_object().value().size());
  differences.equal("virtual_model", text_or_empty(request, "virtual_model"), model);
  const auto recorded = array(request, "segments");
  differences.equal("segments, how many", recorded.size(), segments.size());
  std::size_t i = 0;
  for (const Json segment : recorded) {
    if (i == segments.size()) break;
    differences.equal("segments[" + std::to_string(i) + "]", segment.get_string().value(),
                      segments[i]);
    ++i;
  }
  problems_.insert(problems_.end(), differences.problems().begin(), differences.problems().end());
}

}  // namespace vectors
