// The same workloads with flecs, by its C API: cached queries that hand out arrays, rows made in
// bulk (ecs_bulk_init), a component taken from all at once (ecs_remove_all). It has no bulk way to
// add a component to entities that are there, or to delete some: those go one by one.

#define FLECS_NO_CPP
#include <flecs.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "components.hpp"
#include "weakest.hpp"

namespace {

struct Owned {
    std::uint32_t owner;
};
struct Importance {
    float value;
};
struct Ends {
    std::uint32_t source, target;
};
struct Weight {
    float value;
};

struct World {
    ecs_world_t *world = ecs_init();

    World() = default;
    World(const World &) = delete;
    ~World() { ecs_fini(world); }

    template <typename Type> ecs_id_t component(const char *name) {
        ecs_entity_desc_t named{};
        named.name = name;
        ecs_component_desc_t made{};
        made.entity = ecs_entity_init(world, &named);
        made.type.size = sizeof(Type);
        made.type.alignment = alignof(Type);
        return ecs_component_init(world, &made);
    }

    // A cached query for entities with one or two components.
    ecs_query_t *query(ecs_id_t first, ecs_id_t second = 0) {
        ecs_query_desc_t wanted{};
        wanted.terms[0].id = first;
        if (second)
            wanted.terms[1].id = second;
        wanted.cache_kind = EcsQueryCacheAuto;
        return ecs_query_init(world, &wanted);
    }

    // n new entities with two components.
    const ecs_entity_t *make(
        std::int64_t n, ecs_id_t first, void *firsts, ecs_id_t second, void *seconds) {
        void *data[] = {firsts, seconds};
        ecs_bulk_desc_t wanted{};
        wanted.count = static_cast<std::int32_t>(n);
        wanted.ids[0] = first;
        wanted.ids[1] = second;
        wanted.data = data;
        return ecs_bulk_init(world, &wanted);
    }
};

template <typename Type> Type *field(ecs_iter_t *it, int which) {
    return static_cast<Type *>(ecs_field_w_size(it, sizeof(Type), which));
}

struct Moving : World {
    ecs_id_t position = component<Position>("Position"), velocity = component<Velocity>("Velocity");
    ecs_query_t *both = query(position, velocity);

    const ecs_entity_t *add(Rows &rows) {
        return make(
            static_cast<std::int64_t>(rows.position.size()), position, rows.position.data(),
            velocity, rows.velocity.data());
    }

    std::int64_t read(std::int64_t n, float *out) {
        std::int64_t row = 0;
        ecs_iter_t it = ecs_query_iter(world, both);
        while (ecs_query_next(&it)) {
            const auto *positions = field<Position>(&it, 0);
            const auto *velocities = field<Velocity>(&it, 1);
            for (int i = 0; i < it.count; ++i, ++row) {
                if (row >= n)
                    continue;
                out[row] = positions[i].x;
                out[n + row] = positions[i].y;
                out[2 * n + row] = velocities[i].x;
                out[3 * n + row] = velocities[i].y;
            }
        }
        return row;
    }
};

struct Spawning : Moving {
    std::int64_t n;
    Rows rows;
    Spawning(std::int64_t n, const float *columns) : n{n}, rows{n, columns} {}
};

struct Changing : Moving {
    std::int64_t n;
    ecs_id_t health = component<Health>("Health");
    std::vector<ecs_entity_t> all, some;

    Changing(std::int64_t n, const float *columns) : n{n} {
        Rows rows{n, columns};
        const auto *made = add(rows);
        all.assign(made, made + n);
    }

    void give(const std::vector<ecs_entity_t> &entities) {
        const Health two{2.0f};
        for (const auto entity : entities)
            ecs_set_id(world, entity, health, sizeof(Health), &two);
    }

    void take(const std::vector<ecs_entity_t> &entities) {
        for (const auto entity : entities)
            ecs_remove_id(world, entity, health);
    }
};

struct Churning : Moving {
    std::int64_t n;
    std::vector<ecs_entity_t> all, going;
    std::vector<std::int64_t> places;
    const ecs_entity_t *born = nullptr;
    Rows rows;

    Churning(std::int64_t n, const float *columns) : n{n}, rows{0, columns} {
        Rows given{n, columns};
        const auto *made = add(given);
        all.assign(made, made + n);
    }
};

struct Fragmented : World {
    std::int64_t n;
    ecs_id_t data = component<Data>("Data");
    ecs_query_t *every = query(data);

    Fragmented(std::int64_t n_tables, std::int64_t n, const float *values) : n{n} {
        for (std::int64_t k = 0; k < n_tables; ++k) {
            ecs_entity_desc_t named{};
            const std::string name = "Letter" + std::to_string(k);
            named.name = name.c_str();
            const ecs_id_t tag = ecs_entity_init(world, &named);
            const std::int64_t begin = n * k / n_tables, end = n * (k + 1) / n_tables;
            std::vector<Data> made(end - begin);
            for (std::int64_t i = begin; i < end; ++i)
                made[i - begin].value = values[i];
            make(end - begin, data, made.data(), tag, nullptr);
        }
    }

    template <typename Work> void each(Work work) {
        ecs_iter_t it = ecs_query_iter(world, every);
        while (ecs_query_next(&it)) {
            auto *values = field<Data>(&it, 0);
            for (int i = 0; i < it.count; ++i)
                work(values[i].value);
        }
    }
};

struct Minds : World {
    ecs_id_t trace = component<Trace>("Trace"), strength = component<Strength>("Strength");
    ecs_query_t *both = query(trace, strength);
};

struct Fading : World {
    ecs_id_t memory = component<Recollection>("Recollection");
    ecs_id_t strength = component<Strength>("Strength");
    ecs_query_t *both = query(memory, strength);
};

// The strengths of all, in order of their rows.
std::int64_t read_strengths(ecs_world_t *world, ecs_query_t *both, float *out) {
    std::int64_t row = 0;
    ecs_iter_t it = ecs_query_iter(world, both);
    while (ecs_query_next(&it)) {
        const auto *strengths = field<Strength>(&it, 1);
        for (int i = 0; i < it.count; ++i)
            out[row++] = strengths[i].value;
    }
    return row;
}

struct Hoard : World {
    ecs_id_t owned = component<Owned>("Owned"), important = component<Importance>("Importance");
    ecs_query_t *both = query(owned, important);
    std::vector<std::uint32_t> owner;
    std::vector<float> importance;
    std::vector<ecs_entity_t> entity;
    Weakest weakest;

    void look() {
        owner.clear(), importance.clear(), entity.clear();
        ecs_iter_t it = ecs_query_iter(world, both);
        while (ecs_query_next(&it)) {
            const auto *owners = field<Owned>(&it, 0);
            const auto *importances = field<Importance>(&it, 1);
            for (int i = 0; i < it.count; ++i) {
                owner.push_back(owners[i].owner);
                importance.push_back(importances[i].value);
            }
            entity.insert(entity.end(), it.entities, it.entities + it.count);
        }
    }
};

// Edges are entities, found by a map from their ends. A pair of flecs' own would make an archetype
// for each target, or with DontFragment 300 times the cost to build.
struct Edges : World {
    ecs_id_t ends = component<Ends>("Ends"), weight = component<Weight>("Weight");
    ecs_query_t *both = query(ends, weight);
    std::unordered_map<std::uint64_t, ecs_entity_t> found;

    static std::uint64_t key_of(std::uint32_t source, std::uint32_t target) {
        return std::uint64_t{source} << 32 | target;
    }

    template <typename Work> std::int64_t each(Work work) {
        std::int64_t row = 0;
        ecs_iter_t it = ecs_query_iter(world, both);
        while (ecs_query_next(&it)) {
            auto *weights = field<Weight>(&it, 1);
            for (int i = 0; i < it.count; ++i)
                work(row++, weights[i].value);
        }
        return row;
    }
};

} // namespace

extern "C" {

const char *version() { return FLECS_VERSION; }

// -- iter_2c -------------------------------------------------------------------------------------

void *moving_new(std::int64_t n, const float *columns) {
    auto *moving = new Moving;
    Rows rows{n, columns};
    moving->add(rows);
    return moving;
}

std::int64_t moving_step(void *held, float dt) {
    auto &moving = *static_cast<Moving *>(held);
    ecs_iter_t it = ecs_query_iter(moving.world, moving.both);
    while (ecs_query_next(&it)) {
        auto *__restrict position = field<Position>(&it, 0);
        const auto *__restrict velocity = field<Velocity>(&it, 1);
        for (int i = 0; i < it.count; ++i) {
            position[i].x += velocity[i].x * dt;
            position[i].y += velocity[i].y * dt;
        }
    }
    return 0;
}

std::int64_t moving_read(void *held, std::int64_t n, float *out) {
    return static_cast<Moving *>(held)->read(n, out);
}

// -- iter_frag26 ---------------------------------------------------------------------------------

void *fragmented_new(std::int64_t n_tables, std::int64_t n, const float *values) {
    return new Fragmented{n_tables, n, values};
}

std::int64_t fragmented_double(void *held) {
    static_cast<Fragmented *>(held)->each([](float &value) { value *= 2.0f; });
    return 0;
}

std::int64_t fragmented_clear(void *held) {
    static_cast<Fragmented *>(held)->each([](float &value) { value = 0.0f; });
    return 0;
}

std::int64_t fragmented_read(void *held, float *out) {
    std::int64_t row = 0;
    static_cast<Fragmented *>(held)->each([&](float &value) { out[row++] = value; });
    return row;
}

// -- spawn_4c ------------------------------------------------------------------------------------

std::int64_t spawning_clear(void *held) {
    auto &spawning = *static_cast<Spawning *>(held);
    ecs_delete_with(spawning.world, spawning.position);
    return 0;
}

std::int64_t spawning_spawn(void *held) {
    auto &spawning = *static_cast<Spawning *>(held);
    spawning.add(spawning.rows);
    return spawning.n;
}

// -- add_remove_all, add_remove_tenth ------------------------------------------------------------

std::int64_t changing_remove_all(void *held) {
    auto &changing = *static_cast<Changing *>(held);
    ecs_remove_all(changing.world, changing.health);
    return 0;
}

std::int64_t changing_health(void *held) {
    auto &changing = *static_cast<Changing *>(held);
    std::int64_t having = 0;
    for (const auto entity : changing.all) {
        const auto *health =
            static_cast<const Health *>(ecs_get_id(changing.world, entity, changing.health));
        having += health && health->value == 2.0f;
    }
    return having;
}

// -- despawn_spawn_tenth -------------------------------------------------------------------------

std::int64_t churning_run(void *held) {
    auto &churning = *static_cast<Churning *>(held);
    for (const auto entity : churning.going)
        ecs_delete(churning.world, entity);
    const auto *born = churning.add(churning.rows);
    for (std::size_t i = 0; i < churning.places.size(); ++i)
        churning.all[churning.places[i]] = born[i];
    return 0;
}

// -- sweep_decay ---------------------------------------------------------------------------------

void *minds_new(
    std::int64_t n, const float *importance, const float *stability, const std::int64_t *accessed) {
    auto *minds = new Minds;
    std::vector<Trace> traces(n);
    std::vector<Strength> strengths(n);
    for (std::int64_t i = 0; i < n; ++i)
        traces[i] = {importance[i], stability[i], accessed[i]};
    minds->make(n, minds->trace, traces.data(), minds->strength, strengths.data());
    return minds;
}

std::int64_t minds_decay(void *held, std::int64_t now) {
    auto &minds = *static_cast<Minds *>(held);
    ecs_iter_t it = ecs_query_iter(minds.world, minds.both);
    while (ecs_query_next(&it)) {
        const auto *__restrict trace = field<Trace>(&it, 0);
        auto *__restrict strength = field<Strength>(&it, 1);
        for (int i = 0; i < it.count; ++i) {
            const auto elapsed = std::max<std::int64_t>(now - trace[i].accessed, 0);
            strength[i].value =
                trace[i].importance
                * std::exp2(static_cast<float>(elapsed) * -1e-6f / trace[i].stability);
        }
    }
    return 0;
}

std::int64_t minds_read(void *held, float *out) {
    auto &minds = *static_cast<Minds *>(held);
    return read_strengths(minds.world, minds.both, out);
}

// -- decay_w6 ------------------------------------------------------------------------------------

void *fading_new(
    std::int64_t n, const float *importance, const float *last, const std::uint32_t *count) {
    auto *fading = new Fading;
    std::vector<Recollection> memories(n);
    std::vector<Strength> strengths(n);
    for (std::int64_t i = 0; i < n; ++i)
        memories[i] = {importance[i], last[i], count[i]};
    fading->make(n, fading->memory, memories.data(), fading->strength, strengths.data());
    return fading;
}

void fading_free(void *held) { delete static_cast<Fading *>(held); }

std::int64_t fading_step(void *held, float now, float tau, float threshold) {
    auto &fading = *static_cast<Fading *>(held);
    std::int64_t weak = 0;
    ecs_iter_t it = ecs_query_iter(fading.world, fading.both);
    while (ecs_query_next(&it)) {
        const auto *__restrict memory = field<Recollection>(&it, 0);
        auto *__restrict strength = field<Strength>(&it, 1);
        for (int i = 0; i < it.count; ++i) {
            const float lasting =
                tau * (1.0f + std::log1p(static_cast<float>(memory[i].count)));
            const float left =
                memory[i].importance * std::exp((memory[i].last - now) / lasting);
            strength[i].value = left;
            weak += left < threshold;
        }
    }
    return weak;
}

std::int64_t fading_read(void *held, float *out) {
    auto &fading = *static_cast<Fading *>(held);
    return read_strengths(fading.world, fading.both, out);
}

// -- prune_owners --------------------------------------------------------------------------------

std::int64_t hoard_add(
    void *held, std::int64_t k, const std::uint32_t *owner, const float *importance) {
    auto &hoard = *static_cast<Hoard *>(held);
    std::vector<Owned> owners(k);
    std::vector<Importance> importances(k);
    for (std::int64_t i = 0; i < k; ++i) {
        owners[i].owner = owner[i];
        importances[i].value = importance[i];
    }
    hoard.make(k, hoard.owned, owners.data(), hoard.important, importances.data());
    return k;
}

std::int64_t hoard_prune(void *held, std::int64_t n_owners, std::int64_t kept) {
    auto &hoard = *static_cast<Hoard *>(held);
    hoard.look();
    const auto marked = hoard.weakest.mark(n_owners, kept, hoard.owner, hoard.importance);
    for (std::size_t row = 0; row < hoard.entity.size(); ++row)
        if (hoard.weakest.goes[row])
            ecs_delete(hoard.world, hoard.entity[row]);
    return marked;
}

// -- edges_update --------------------------------------------------------------------------------

void *edges_new(
    std::int64_t n, const std::uint32_t *source, const std::uint32_t *target, const float *weight) {
    auto *edges = new Edges;
    std::vector<Ends> ends(n);
    std::vector<Weight> weights(n);
    for (std::int64_t i = 0; i < n; ++i) {
        ends[i] = {source[i], target[i]};
        weights[i].value = weight[i];
    }
    const auto *made = edges->make(n, edges->ends, ends.data(), edges->weight, weights.data());
    edges->found.reserve(n);
    for (std::int64_t i = 0; i < n; ++i)
        edges->found.emplace(Edges::key_of(source[i], target[i]), made[i]);
    return edges;
}

std::int64_t edges_renew(void *held, const float *weight) {
    return static_cast<Edges *>(held)->each(
        [&](std::int64_t row, float &value) { value = weight[row]; });
}

std::int64_t edges_update(
    void *held, std::int64_t k, const std::uint32_t *source, const std::uint32_t *target,
    float fade, float gain) {
    auto &edges = *static_cast<Edges *>(held);
    edges.each([&](std::int64_t, float &value) { value *= fade; });
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < k; ++i) {
        const auto edge = edges.found.find(Edges::key_of(source[i], target[i]));
        if (edge == edges.found.end())
            continue;
        auto *weight = ecs_get_mut_id(edges.world, edge->second, edges.weight);
        static_cast<Weight *>(weight)->value += gain;
        ++found;
    }
    return found;
}

std::int64_t edges_read(void *held, float *out) {
    return static_cast<Edges *>(held)->each(
        [&](std::int64_t row, float &value) { out[row] = value; });
}

} // extern "C"

#include "exports.hpp"
