/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/list.h: nodes come out in the sequence in which they stand, and misuse aborts.
 */
#include <criterion/criterion.h>

#include "broker/base/list.h"
#include "broker/base/prng.h"

#include <signal.h>
#include <string.h>

struct element {
    uint32_t number;       /* its index in the test's array */
    struct list_node node; /* deliberately not the first field */
};

static uint32_t number_of(struct list_node *node)
{
    return LIST_ELEMENT(node, struct element, node)->number;
}

/* An empty list has no first node and gives none. */
Test(base_list, has_no_first_node_when_empty)
{
    struct list list;

    list_init(&list);
    cr_assert(list_empty(&list));
    cr_assert_null(list_first(&list));
    cr_assert_null(list_pop_front(&list));
    list_check(&list);
}

/* A removed node is unlinked and may be linked again, also into another list. */
Test(base_list, lets_a_removed_node_into_another_list)
{
    struct element element = {0};
    struct list from, into;

    list_init(&from);
    list_init(&into);
    cr_assert(!list_linked(&element.node));
    list_push_back(&from, &element.node);
    cr_assert(list_linked(&element.node));
    list_remove(&element.node);
    cr_assert(!list_linked(&element.node));
    list_push_front(&into, &element.node);
    cr_assert(list_empty(&from));
    cr_assert_eq(list_first(&into), &element.node);
}

/* Every second node can be removed in one walk when the next one is fetched first. */
Test(base_list, allows_removal_while_walking)
{
    struct element elements[10] = {0};
    struct list_node *node, *next;
    struct list list;
    uint32_t expected = 1;

    list_init(&list);
    for (uint32_t i = 0; i < 10; i++) {
        elements[i].number = i;
        list_push_back(&list, &elements[i].node);
    }
    for (node = list_first(&list); node; node = next) {
        next = list_next(&list, node);
        if (number_of(node) % 2 == 0)
            list_remove(node);
    }
    for (node = list_first(&list); node; node = list_next(&list, node), expected += 2)
        cr_assert_eq(number_of(node), expected);
    cr_assert_eq(expected, 11);
}

/* The model: numbers in an array, in list sequence. */
struct model {
    uint32_t numbers[16];
    uint32_t count;
};

static void model_insert(struct model *model, uint32_t at, uint32_t number)
{
    memmove(&model->numbers[at + 1], &model->numbers[at],
            (model->count - at) * sizeof(model->numbers[0]));
    model->numbers[at] = number;
    model->count++;
}

static void model_remove(struct model *model, uint32_t at)
{
    model->count--;
    memmove(&model->numbers[at], &model->numbers[at + 1],
            (model->count - at) * sizeof(model->numbers[0]));
}

static uint32_t model_find(const struct model *model, uint32_t number)
{
    uint32_t at = 0;

    while (at < model->count && model->numbers[at] != number)
        at++;
    return at;
}

static void compare(const struct list *list, const struct model *model)
{
    struct list_node *node = list_first(list);

    list_check(list);
    for (uint32_t i = 0; i < model->count; i++) {
        cr_assert_not_null(node);
        cr_assert_eq(number_of(node), model->numbers[i]);
        node = list_next(list, node);
    }
    cr_assert_null(node);
}

/* 100,000 random pushes, pops and removals leave the same sequence as in an array. */
Test(base_list, agrees_with_an_array_over_random_operations)
{
    struct element elements[16] = {0};
    struct model model = {0};
    struct prng prng;
    struct list list;

    prng_seed(&prng, 1);
    list_init(&list);
    for (uint32_t i = 0; i < 16; i++)
        elements[i].number = i;
    for (uint32_t op = 0; op < 100000; op++) {
        struct element *element = &elements[prng_below(&prng, 16)];
        uint32_t at = model_find(&model, element->number);

        cr_assert_eq(list_linked(&element->node), at < model.count);
        if (prng_chance(&prng, 6554) && model.count > 0) {
            cr_assert_eq(number_of(list_pop_front(&list)), model.numbers[0]);
            model_remove(&model, 0);
        } else if (at < model.count) {
            list_remove(&element->node);
            model_remove(&model, at);
        } else if (prng_chance(&prng, 32768)) {
            list_push_front(&list, &element->node);
            model_insert(&model, 0, element->number);
        } else {
            list_push_back(&list, &element->node);
            model_insert(&model, model.count, element->number);
        }
        compare(&list, &model);
    }
}

/* Linking a linked node would tear both lists. */
Test(base_list, aborts_when_a_linked_node_is_pushed, .signal = SIGABRT)
{
    struct element element = {0};
    struct list a, b;

    list_init(&a);
    list_init(&b);
    list_push_back(&a, &element.node);
    list_push_back(&b, &element.node);
}

/* A node in no list cannot be removed. */
Test(base_list, aborts_when_an_unlinked_node_is_removed, .signal = SIGABRT)
{
    struct element element = {0};

    list_remove(&element.node);
}

/* A neighbour that does not point back is found before the list is changed. */
Test(base_list, aborts_when_a_neighbour_does_not_point_back, .signal = SIGABRT)
{
    struct element elements[3] = {0};
    struct list list;

    list_init(&list);
    for (uint32_t i = 0; i < 3; i++)
        list_push_back(&list, &elements[i].node);
    elements[2].node.prev = &elements[0].node;
    list_remove(&elements[1].node);
}

/* Zeroed memory is no list yet. */
Test(base_list, aborts_on_a_list_without_init, .signal = SIGABRT)
{
    struct list list = {0};

    (void)list_empty(&list);
}
