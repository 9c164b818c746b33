// The parts of the prompt cache that the host may bring, behind the engine's interfaces.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "host.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/index_backend.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

template <class Table>
using Shared = std::shared_ptr<HostTable<Table>>;

struct Tables {
  Shared<satchel_principals> principals;
  Shared<satchel_models> models;
  Shared<satchel_tokenizer> tokenizer;
  Shared<satchel_index> index;
};

// Takes the tables over before anything else can fail, so that each is released once whatever
// comes. One of a wrong size cannot be read and is not released. `parts` may be NULL.
core::Result<Tables> take_tables(const satchel_prompt_parts* parts);

// The parts that the tables bring, and the host's transport; the others stay null. What is
// configured is for callbacks that answer SATCHEL_NOT_HANDLED.
core::Result<prompt_cache::ClassifierParts> make_prompt_parts(
    const Tables& tables, const prompt_cache::Config& config,
    const std::shared_ptr<Context>& context);

// The host's index; null: it brings none.
core::Result<std::unique_ptr<prompt_cache::IndexBackend>> make_index_part(const Tables& tables);

}  // namespace satchel::abi
