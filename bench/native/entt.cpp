// The same workloads with EnTT (3.13 or newer): full-owning groups read as the pages of their
// arrays, its fastest way to look at many rows; rows made, given components and destroyed by
// ranges.

#include <entt/entt.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "components.hpp"
#include "weakest.hpp"

namespace {

using Entities = std::vector<entt::entity>;

struct Owned {
    std::uint32_t owner;
    float importance;
};
struct Edge {
    std::uint32_t source, target;
    float weight;
};
template <int> struct Letter {};

// All rows of the group of two components, a page of both at a time.
template <typename First, typename Second, typename Work>
void by_pages(entt::registry &registry, Work work) {
    constexpr std::size_t page = entt::component_traits<First>::page_size;
    static_assert(page == entt::component_traits<Second>::page_size);
    const std::size_t n = registry.group<First, Second>().size();
    auto firsts = registry.storage<First>().raw();
    auto seconds = registry.storage<Second>().raw();
    for (std::size_t begin = 0; begin < n; begin += page)
        work(firsts[begin / page], seconds[begin / page], std::min(page, n - begin));
}

struct Moving {
    entt::registry registry;
    Entities all;

    void add(Rows &rows, Entities &entities) {
        entities.resize(rows.position.size());
        registry.create(entities.begin(), entities.end());
        registry.insert<Position>(entities.begin(), entities.end(), rows.position.begin());
        registry.insert<Velocity>(entities.begin(), entities.end(), rows.velocity.begin());
    }

    std::int64_t read(std::int64_t n, float *out) {
        std::int64_t row = 0;
        auto both = registry.view<Position, Velocity>();
        both.each([&](const Position &position, const Velocity &velocity) {
            if (row < n) {
                out[row] = position.x;
                out[n + row] = position.y;
                out[2 * n + row] = velocity.x;
                out[3 * n + row] = velocity.y;
            }
            ++row;
        });
        return row;
    }
};

struct Spawning : Moving {
    Rows rows;
    Spawning(std::int64_t n, const float *columns) : rows{n, columns} {}
};

struct Changing : Moving {
    Entities some;

    Changing(std::int64_t n, const float *columns) {
        Rows rows{n, columns};
        add(rows, all);
    }

    void give(const Entities &entities) {
        registry.insert<Health>(entities.begin(), entities.end(), Health{2.0f});
    }

    void take(const Entities &entities) {
        registry.remove<Health>(entities.begin(), entities.end());
    }
};

struct Churning : Moving {
    Entities going, made;
    std::vector<std::int64_t> places;
    Rows rows{0, nullptr};

    Churning(std::int64_t n, const float *columns) {
        Rows given{n, columns};
        add(given, all);
    }
};

struct Fragmented {
    entt::registry registry;

    // Fragment K of all, and those after it.
    template <int K, int Tables> void fill(std::int64_t n, const float *values) {
        if constexpr (K < Tables) {
            for (std::int64_t i = n * K / Tables; i < n * (K + 1) / Tables; ++i) {
                const auto entity = registry.create();
                registry.emplace<Data>(entity, values[i]);
                registry.emplace<Letter<K>>(entity);
            }
            fill<K + 1, Tables>(n, values);
        }
    }
};

struct Minds {
    entt::registry registry;
    Entities all;

    std::int64_t read(float *out) {
        for (const auto entity : all)
            *out++ = registry.get<Strength>(entity).value;
        return static_cast<std::int64_t>(all.size());
    }
};

struct Hoard {
    entt::registry registry;
    std::vector<std::uint32_t> owner;
    std::vector<float> importance;
    Entities entity, going;
    Weakest weakest;

    void look() {
        owner.clear(), importance.clear(), entity.clear();
        auto every = registry.view<Owned>();
        every.each([&](const entt::entity each, const Owned &owned) {
            owner.push_back(owned.owner);
            importance.push_back(owned.importance);
            entity.push_back(each);
        });
    }
};

struct Mixed {
    std::size_t operator()(std::uint64_t key) const {
        key = (key ^ key >> 32) * 0x9E3779B97F4A7C15u;
        return key ^ key >> 29;
    }
};

// Edges are entities, found by a map from their ends: EnTT has no relations of its own.
struct Edges {
    entt::registry registry;
    Entities all;
    entt::dense_map<std::uint64_t, entt::entity, Mixed> found;

    static std::uint64_t key_of(std::uint32_t source, std::uint32_t target) {
        return std::uint64_t{source} << 32 | target;
    }
};

} // namespace

extern "C" {

const char *version() { return ENTT_VERSION; }

// -- iter_2c -------------------------------------------------------------------------------------

void *moving_new(std::int64_t n, const float *columns) {
    auto *moving = new Moving;
    static_cast<void>(moving->registry.group<Position, Velocity>());
    Rows rows{n, columns};
    moving->add(rows, moving->all);
    return moving;
}

std::int64_t moving_step(void *held, float dt) {
    by_pages<Position, Velocity>(
        static_cast<Moving *>(held)->registry,
        [dt](Position *__restrict position, const Velocity *__restrict velocity, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) {
                position[i].x += velocity[i].x * dt;
                position[i].y += velocity[i].y * dt;
            }
        });
    return 0;
}

std::int64_t moving_read(void *held, std::int64_t n, float *out) {
    auto &moving = *static_cast<Moving *>(held);
    std::int64_t row = 0;
    for (const auto entity : moving.all) { // in the order in which they came
        const auto &position = moving.registry.get<Position>(entity);
        const auto &velocity = moving.registry.get<Velocity>(entity);
        out[row] = position.x;
        out[n + row] = position.y;
        out[2 * n + row] = velocity.x;
        out[3 * n + row] = velocity.y;
        ++row;
    }
    return row;
}

// -- iter_frag26 ---------------------------------------------------------------------------------

void *fragmented_new(std::int64_t n_tables, std::int64_t n, const float *values) {
    constexpr int TABLES = 26;
    if (n_tables != TABLES)
        return nullptr;
    auto *fragmented = new Fragmented;
    fragmented->fill<0, TABLES>(n, values);
    return fragmented;
}

std::int64_t fragmented_double(void *held) {
    auto every = static_cast<Fragmented *>(held)->registry.view<Data>();
    every.each([](Data &data) { data.value *= 2.0f; });
    return 0;
}

std::int64_t fragmented_clear(void *held) {
    auto every = static_cast<Fragmented *>(held)->registry.view<Data>();
    every.each([](Data &data) { data.value = 0.0f; });
    return 0;
}

std::int64_t fragmented_read(void *held, float *out) {
    std::int64_t row = 0;
    auto every = static_cast<Fragmented *>(held)->registry.view<Data>();
    every.each([&](const Data &data) { out[row++] = data.value; });
    return row;
}

// -- spawn_4c ------------------------------------------------------------------------------------

std::int64_t spawning_clear(void *held) {
    static_cast<Spawning *>(held)->registry.clear();
    return 0;
}

std::int64_t spawning_spawn(void *held) {
    auto &spawning = *static_cast<Spawning *>(held);
    spawning.add(spawning.rows, spawning.all);
    return static_cast<std::int64_t>(spawning.all.size());
}

// -- add_remove_all, add_remove_tenth ------------------------------------------------------------

std::int64_t changing_remove_all(void *held) {
    static_cast<Changing *>(held)->registry.clear<Health>();
    return 0;
}

std::int64_t changing_health(void *held) {
    std::int64_t having = 0;
    auto every = static_cast<Changing *>(held)->registry.view<Health>();
    every.each([&](const Health &health) { having += health.value == 2.0f; });
    return having;
}

// -- despawn_spawn_tenth -------------------------------------------------------------------------

std::int64_t churning_run(void *held) {
    auto &churning = *static_cast<Churning *>(held);
    churning.registry.destroy(churning.going.begin(), churning.going.end());
    churning.add(churning.rows, churning.made);
    for (std::size_t i = 0; i < churning.places.size(); ++i)
        churning.all[churning.places[i]] = churning.made[i];
    return 0;
}

// -- sweep_decay ---------------------------------------------------------------------------------

void *minds_new(
    std::int64_t n, const float *importance, const float *stability, const std::int64_t *accessed) {
    auto *minds = new Minds;
    static_cast<void>(minds->registry.group<Trace, Strength>());
    std::vector<Trace> traces(n);
    for (std::int64_t i = 0; i < n; ++i)
        traces[i] = Trace{importance[i], stability[i], accessed[i]};
    minds->all.resize(n);
    minds->registry.create(minds->all.begin(), minds->all.end());
    minds->registry.insert<Trace>(minds->all.begin(), minds->all.end(), traces.begin());
    minds->registry.insert<Strength>(minds->all.begin(), minds->all.end(), Strength{0.0f});
    return minds;
}

std::int64_t minds_decay(void *held, std::int64_t now) {
    by_pages<Trace, Strength>(
        static_cast<Minds *>(held)->registry,
        [now](const Trace *__restrict trace, Strength *__restrict strength, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) {
                const auto elapsed = std::max<std::int64_t>(now - trace[i].accessed, 0);
                strength[i].value =
                    trace[i].importance
                    * std::exp2(static_cast<float>(elapsed) * -1e-6f / trace[i].stability);
            }
        });
    return 0;
}

std::int64_t minds_read(void *held, float *out) { return static_cast<Minds *>(held)->read(out); }

// -- decay_w6 ------------------------------------------------------------------------------------

void *fading_new(
    std::int64_t n, const float *importance, const float *last, const std::uint32_t *count) {
    auto *fading = new Minds;
    static_cast<void>(fading->registry.group<Recollection, Strength>());
    std::vector<Recollection> memories(n);
    for (std::int64_t i = 0; i < n; ++i)
        memories[i] = Recollection{importance[i], last[i], count[i]};
    fading->all.resize(n);
    fading->registry.create(fading->all.begin(), fading->all.end());
    fading->registry.insert<Recollection>(fading->all.begin(), fading->all.end(), memories.begin());
    fading->registry.insert<Strength>(fading->all.begin(), fading->all.end(), Strength{0.0f});
    return fading;
}

void fading_free(void *held) { delete static_cast<Minds *>(held); }

std::int64_t fading_step(void *held, float now, float tau, float threshold) {
    std::int64_t weak = 0;
    by_pages<Recollection, Strength>(
        static_cast<Minds *>(held)->registry,
        [=, &weak](const Recollection *__restrict memory, Strength *__restrict strength,
                   std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) {
                const float lasting =
                    tau * (1.0f + std::log1p(static_cast<float>(memory[i].count)));
                const float left =
                    memory[i].importance * std::exp((memory[i].last - now) / lasting);
                strength[i].value = left;
                weak += left < threshold;
            }
        });
    return weak;
}

std::int64_t fading_read(void *held, float *out) { return static_cast<Minds *>(held)->read(out); }

// -- prune_owners --------------------------------------------------------------------------------

std::int64_t hoard_add(
    void *held, std::int64_t k, const std::uint32_t *owner, const float *importance) {
    auto &hoard = *static_cast<Hoard *>(held);
    Entities made(k);
    std::vector<Owned> owned(k);
    for (std::int64_t i = 0; i < k; ++i)
        owned[i] = Owned{owner[i], importance[i]};
    hoard.registry.create(made.begin(), made.end());
    hoard.registry.insert<Owned>(made.begin(), made.end(), owned.begin());
    return k;
}

std::int64_t hoard_prune(void *held, std::int64_t n_owners, std::int64_t kept) {
    auto &hoard = *static_cast<Hoard *>(held);
    hoard.look();
    const auto marked = hoard.weakest.mark(
        static_cast<std::size_t>(n_owners), static_cast<std::uint32_t>(kept), hoard.owner,
        hoard.importance);
    hoard.going.clear();
    for (std::size_t row = 0; row < hoard.entity.size(); ++row)
        if (hoard.weakest.goes[row])
            hoard.going.push_back(hoard.entity[row]);
    hoard.registry.destroy(hoard.going.begin(), hoard.going.end());
    return marked;
}

// -- edges_update --------------------------------------------------------------------------------

void *edges_new(
    std::int64_t n, const std::uint32_t *source, const std::uint32_t *target, const float *weight) {
    auto *edges = new Edges;
    std::vector<Edge> given(n);
    for (std::int64_t i = 0; i < n; ++i)
        given[i] = Edge{source[i], target[i], weight[i]};
    edges->all.resize(n);
    edges->registry.create(edges->all.begin(), edges->all.end());
    edges->registry.insert<Edge>(edges->all.begin(), edges->all.end(), given.begin());
    edges->found.reserve(n);
    for (std::int64_t i = 0; i < n; ++i)
        edges->found.emplace(Edges::key_of(source[i], target[i]), edges->all[i]);
    return edges;
}

std::int64_t edges_renew(void *held, const float *weight) {
    auto &edges = *static_cast<Edges *>(held);
    for (const auto entity : edges.all)
        edges.registry.get<Edge>(entity).weight = *weight++;
    return 0;
}

std::int64_t edges_update(
    void *held, std::int64_t k, const std::uint32_t *source, const std::uint32_t *target,
    float fade, float gain) {
    auto &edges = *static_cast<Edges *>(held);
    auto every = edges.registry.view<Edge>();
    every.each([fade](Edge &edge) { edge.weight *= fade; });
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < k; ++i) {
        const auto edge = edges.found.find(Edges::key_of(source[i], target[i]));
        if (edge == edges.found.end())
            continue;
        edges.registry.get<Edge>(edge->second).weight += gain;
        ++found;
    }
    return found;
}

std::int64_t edges_read(void *held, float *out) {
    auto &edges = *static_cast<Edges *>(held);
    for (const auto entity : edges.all)
        *out++ = edges.registry.get<Edge>(entity).weight;
    return static_cast<std::int64_t>(edges.all.size());
}

} // extern "C"

#include "exports.hpp"
