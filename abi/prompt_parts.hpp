// The parts of the prompt cache that the host may bring, behind the engine's interfaces.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "host.hpp"
#include "prompt_cache/classifier.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

template <class Table>
using Shared = std::shared_ptr<HostTable<Table>>;

struct Tables {
  Shared<satchel_principals> principals;
  Shared<satchel_models> models;
  Shared<satchel_tokenizer> tokenizer;
};

// Takes the tables over before anything else can fail, so that each is released once whatever
// comes. One of a wrong size cannot be read and is not released. `parts` may be NULL.
core::Result<Tables> take_tables(const satchel_prompt_parts* parts);

// The parts that the tables bring; the others stay null. `models` is the configured table, for
// callbacks that answer SATCHEL_NOT_HANDLED.
core::Result<prompt_cache::ClassifierParts> make_prompt_parts(
    const Tables& tables, const prompt_cache::ModelTable& models);

}  // namespace satchel::abi
