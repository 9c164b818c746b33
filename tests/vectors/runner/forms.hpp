// The forms of vectors that this program knows. A file is recognised by what is in it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "document.hpp"
#include "satchel/satchel.hpp"
#include "verdict.hpp"

namespace vectors {

struct Options {
  bool skip_render = false;
};

struct Form {
  const char* name;
  bool (*recognises)(Json root);
  Tally (*run)(Json root, const satchel::Library& library, const Options& options);
};

extern const Form kPromptRequests;
extern const Form kPromptQuery;
extern const Form kPromptResponses;
extern const Form kPromptClassify;
extern const Form kToolcacheKeys;
extern const Form kToolcacheTraces;
extern const Form kCascade;

// True if the file is a list whose first case `matches`.
bool is_list_of(Json root, bool (*matches)(Json first));

// Compares one case; what it throws (a malformed case, an error nobody expected) fails the case.
void compare(Tally& tally, const std::string& name, const std::function<void(Verdict&)>& body);

// The error that `call` throws, if it does.
template <class Call>
std::optional<satchel::Error> thrown_by(Call&& call) {
  try {
    call();
  } catch (const satchel::Error& error) {
    return error;
  }
  return std::nullopt;
}

std::string canonical(std::string_view json);

// The policies of a case as the configuration of a prompt cache; what the case does not say is
// left to the defaults.
std::string policy_config(Json test_case);

std::string_view tier_name(std::int32_t tier);
std::string hex(const std::uint8_t (&hash)[32]);

}  // namespace vectors
